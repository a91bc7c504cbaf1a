#!/usr/bin/env python
"""What pingouin says about a few small samples, for the tests of nbs/stats: python bench/reference_statistics.py > tests/reference/statistics.json

Needs an environment of its own with pingouin and scipy; fea itself is not used.
"""
import json

import numpy as np
import pingouin as pg
import scipy
import scipy.stats

rng = np.random.default_rng(20)
first, second, other = (rng.beta(2, 5, 12).round(4), rng.beta(3, 4, 12).round(4), rng.beta(3, 4, 9).round(4))


def one(a, b, paired):
    "A t test with its interval and effect"
    row = pg.ttest(a, b, paired=paired, correction=not paired).iloc[0]
    ci = row[next(c for c in row.index if c.startswith('CI95'))]
    p = row[next(c for c in row.index if c.lower() in ('p-val', 'p_val', 'p'))]
    return {'a': a.tolist(), 'b': b.tolist(), 't': float(row['T']), 'p': float(p), 'low': float(ci[0]), 'high': float(ci[1]),
            'g': float(pg.compute_effsize(a, b, paired=paired, eftype='hedges'))}

mean = scipy.stats.t.interval(.95, len(first) - 1, first.mean(), scipy.stats.sem(first))
raw = [.001, .02, .03, .04, .2]
print(json.dumps({'pingouin': pg.__version__, 'scipy': scipy.__version__, 'paired': one(first, second, True), 'independent': one(first, other, False),
                  'mean': {'values': first.tolist(), 'low': float(mean[0]), 'high': float(mean[1])},
                  'holm': {'p': raw, 'adjusted': pg.multicomp(raw, method='holm')[1].tolist()}}, indent=1))
