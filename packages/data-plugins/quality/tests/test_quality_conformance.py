"""The quality steps hold what every data step must."""

from smallwright_testing import StepConformance


class TestUrlFilter(StepConformance):
    plugin = "url_filter"
    settings = {"missing_url": "keep"}


class TestLanguage(StepConformance):
    plugin = "language"
    settings = {"languages": None}


class TestGopherRepetition(StepConformance):
    plugin = "gopher_repetition"


class TestGopherQuality(StepConformance):
    plugin = "gopher_quality"


class TestC4Quality(StepConformance):
    plugin = "c4_quality"
    settings = {"filter_curly_bracket": False}


class TestFineWebQuality(StepConformance):
    plugin = "fineweb_quality"


class TestPii(StepConformance):
    plugin = "pii"


class TestThreshold(StepConformance):
    plugin = "threshold"


class TestKeepProbability(StepConformance):
    plugin = "keep_probability"
    settings = {"key": "score"}


class TestTopFraction(StepConformance):
    plugin = "top_fraction"
    settings = {"fraction": 0.5}


class TestDomainRecall(StepConformance):
    plugin = "domain_recall"


class TestStatistics(StepConformance):
    plugin = "statistics"


class TestLongDocuments(StepConformance):
    plugin = "long_documents"
