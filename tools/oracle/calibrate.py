"""Golden values for calibrate: temperature and vector scaling by SciPy, Platt's and isotonic calibration by scikit-learn.

usage: python3 tools/oracle/calibrate.py > calibrate/testdata/sklearn.json
"""
import json

import numpy as np
import scipy.optimize
import scipy.special
import sklearn
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

rng = np.random.default_rng(3)


def nll(z, y):
    return float(np.mean(scipy.special.logsumexp(z, axis=1) - z[np.arange(len(y)), y]))


def temperature(z, y):
    best = scipy.optimize.minimize_scalar(lambda u: nll(z * np.exp(u), y), bounds=(-8, 8), method="bounded", options={"xatol": 1e-10})
    return float(np.exp(-best.x))


def vector(z, y):
    k = z.shape[1]

    def value(x):
        out = z * x[:k] + x[k:]
        p = scipy.special.softmax(out, axis=1)
        p[np.arange(len(y)), y] -= 1
        return nll(out, y), np.concatenate([(p * z).mean(0), p.mean(0)])

    best = scipy.optimize.minimize(value, np.concatenate([np.ones(k), np.zeros(k)]), jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 5000})
    return float(best.fun)


def log_odds(z):
    if z.shape[1] == 1:
        return z[:, 0]
    out = np.empty_like(z)
    for j in range(z.shape[1]):
        out[:, j] = z[:, j] - scipy.special.logsumexp(np.delete(z, j, 1), axis=1)
    return out


def case(name, n, k, scale, temp):
    z = rng.normal(0, scale, (n, k)).astype(np.float32).astype(np.float64)
    full = np.hstack([np.zeros_like(z), z]) if k == 1 else z
    p = scipy.special.softmax(full / temp + rng.normal(0, 0.5, full.shape[1]), axis=1)
    y = np.array([rng.choice(full.shape[1], p=row) for row in p])
    one = full.shape[1] == 2
    classes = [1] if one else range(k)
    odds = (full[:, 1] - full[:, 0])[:, None] if one else log_odds(full)
    platt, iso = [], []
    for column, c in enumerate(classes):
        fitted = _SigmoidCalibration().fit(odds[:, column], (y == c).astype(int))
        platt.append([-float(fitted.a_), -float(fitted.b_)])
        model = IsotonicRegression(y_min=1 / (n + 2), y_max=1 - 1 / (n + 2), out_of_bounds="clip")
        x = scipy.special.expit(odds[:, column])
        iso.append(model.fit(x, y == c).predict(x).tolist())
    return {
        "name": name, "columns": k, "logits": z.flatten().tolist(), "labels": y.tolist(), "nll": nll(full, y), "temperature": temperature(full, y),
        "vector_nll": None if k == 1 else vector(full, y), "platt": platt, "isotonic": iso,
    }


print(json.dumps({
    "versions": {"sklearn": sklearn.__version__, "numpy": np.__version__, "scipy": scipy.__version__},
    "cases": [
        case("five classes", 150, 5, 3, 2), case("two classes", 120, 2, 2, 3), case("one logit", 120, 1, 4, 2), case("cold", 100, 3, 0.5, 0.3),
    ],
}))
