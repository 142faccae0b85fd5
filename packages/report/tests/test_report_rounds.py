"""Tables of rounds, of what was chosen and of what was forgotten."""

from smallwright_report import rounds

OWN = {"windows": 16, "drawn": 9, "mean_loss": 5.0, "mean_loss_drawn": 5.25}
NONE = {"windows": 4, "drawn": 0, "mean_loss": 2.0, "mean_loss_drawn": None}


def test_tables_say_what_was_drawn_chosen_and_forgotten():
    drawn = {"round": 2, "by_source": {"web": OWN, "code": NONE}, "windows": 20, "drawn": 9, "mean_loss": 4.4}
    summary = {
        "rounds": [{**drawn, "mean_loss_drawn": 5.25}],
        "selection": {"policy": "rho", "candidates": 40, "chosen": 4, "loss": [3.0, 4.0]},
        "forgetting": {
            "step": 390,
            "margin": 0.1,
            "by_source": {"web": {"windows": 64, "forgotten": 0.125, "rise": 0.0312}},
        },
    }
    of_rounds, chosen, forgotten = (block["table"] for block in rounds.blocks(summary))
    assert of_rounds["rows"] == [
        ["2", "web", "16", "9", "5.000", "5.250"],
        ["2", "code", "4", "0", "2.000", ""],
        ["2", "all", "20", "9", "4.400", "5.250"],
    ]
    assert chosen["rows"] == [["looked at", "40", "3.000", ""], ["trained on", "4", "4.000", ""]]
    assert forgotten["rows"] == [["web", "64", "12.5 %", "0.031"]]
    assert "more than 0.1 nats per token" in forgotten["caption"]


def test_a_training_without_any_of_them_has_no_table():
    assert rounds.blocks({"loss": 1.0}) == []
