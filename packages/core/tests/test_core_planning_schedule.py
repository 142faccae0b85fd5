"""What a plan shows of the stages of a training."""

from core.planning import schedule


def stage(name, first, last, theta=None):
    return {
        "name": name,
        "first_step": first,
        "last_step": last,
        "tokens": 1000 * last,
        "seq_len": 64,
        "sequences": 4,
        "rope_theta": theta,
        "first_rate": 0.004,
        "last_rate": 0,
    }


def test_stages_are_a_table_and_one_stage_is_none():
    shown = schedule.render({"stages": [stage("web", 1, 9), stage("long", 10, 1200, 130000.0)], "notes": ["rounded."]})
    assert shown == [
        "stages",
        "  stage     steps     tokens  seq_len  batch  RoPE theta  rate from  to",
        "  web         1-9      9,000       64      4                  0.004   0",
        "  long   10-1,200  1,200,000       64      4     130,000      0.004   0",
        "  note: rounded.",
    ]
    assert schedule.render({"schedule": "wsd", "stages": [stage("all", 1, 9)]}) == ["  schedule           wsd"]
    assert schedule.render({}) == []
