"""Options of the group ``posttrain``; each nests its settings under its own key, so that both compose."""
