"""Options of the group ``pretrain``."""
