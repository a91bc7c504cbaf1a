"Fixtures of the tests"
from installed import built, installed, run_fea, sample # noqa: F401
