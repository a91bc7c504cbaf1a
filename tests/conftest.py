"Fixtures of the tests"
from installed import aws_url, built, installed, run_fea, sample # noqa: F401
