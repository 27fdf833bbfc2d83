"""Trainings as people have them beside the examples' own: the recorded NLL is the framework's, or the reason why not is said."""

import os
import shutil
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from reading import Run, check, mean_nll

import logitscope
from logitscope.callbacks import Keras, LightGBM, XGBoost, sklearn_epoch, sklearn_stages

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 6)).astype(np.float32)
TWO = (X[:, 0] > 0).astype(int)
THREE = TWO + (X[:, 1] > 0.5)
NAMES = np.array(["low", "mid", "top"])


def nlls(path):
    """Of val, at each epoch."""
    check(path)
    run, found = logitscope.open(path), {}
    for epoch in run.epochs:
        rows = run.rows(epoch, "val")
        z, n = rows["logits"], len(rows["id"])
        assert n == 100
        found[epoch] = mean_nll(np.c_[np.zeros(n), z] if z.shape[1] == 1 else z, rows["label"])
    return found


def same(path, own):
    found = nlls(path)
    assert list(found) == list(range(1, len(own) + 1))
    assert np.allclose(list(found.values()), own, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", ["dart", "gbtree", "gblinear"])
@pytest.mark.parametrize("pair", [False, True])
def test_xgboost(tmp_path, rate, pair):
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is absent")
    train = xgboost.DMatrix(X[:300], TWO[:300], base_margin=np.linspace(-1, 1, 300), weight=np.linspace(1, 2, 300))
    val, own = xgboost.DMatrix(X[300:], TWO[300:]), {}
    settings = {"objective": "binary:logistic", "base_score": 0.3, "booster": rate, "eval_metric": "logloss"}
    with logitscope.record(tmp_path / "run", classes=NAMES[:2]) as rec:
        callback = XGBoost(rec, val=(X[300:], NAMES[TWO[300:]]) if pair else val)
        xgboost.train(settings, train, 4, evals=[(val, "val")], evals_result=own, callbacks=[callback], verbose_eval=False)
    same(tmp_path / "run", own["val"]["logloss"])


def test_xgboost_goes_on_round_after_round(tmp_path):
    """A training called again with the model of the one before is of the rounds after it."""
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is absent")
    train, val, own, model = xgboost.DMatrix(X[:300], THREE[:300]), xgboost.DMatrix(X[300:], THREE[300:]), [], None
    settings = {"objective": "multi:softprob", "num_class": 3, "eval_metric": "mlogloss"}
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        for _ in range(3):
            told = {}
            callback = XGBoost(rec, val=val)
            model = xgboost.train(settings, train, 1, evals=[(val, "val")], evals_result=told, xgb_model=model, callbacks=[callback],
                                  verbose_eval=False)  # fmt: skip
            own += told["val"]["mlogloss"]
    same(tmp_path / "run", own)


def test_cross_validation_is_refused(tmp_path):
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is absent")
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is absent")
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        matrix = xgboost.DMatrix(X, THREE)
        with pytest.raises(TypeError, match="callbacks: xgboost.cv trains several models"):
            xgboost.cv({"objective": "multi:softprob", "num_class": 3}, matrix, 2, callbacks=[XGBoost(rec, val=matrix)])
        settings = {"objective": "multiclass", "num_class": 3, "verbosity": -1}
        with pytest.raises(TypeError, match="callbacks: lightgbm.cv trains several models"):
            lightgbm.cv(settings, lightgbm.Dataset(X, THREE), 2, callbacks=[LightGBM(rec, val=(X, THREE))])
        with pytest.raises(TypeError, match="val: want a DMatrix with labels, or"):
            XGBoost(rec, val=X)
        with pytest.raises(TypeError, match="val: want .X, y."):
            LightGBM(rec, val=lightgbm.Dataset(X, THREE))
        with pytest.raises(ValueError, match="val: label '(low|mid|top)' is no name of a class"):
            LightGBM(rec, val=(X, NAMES[THREE]))


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "multiclass", "boosting": "dart"},
        {"objective": "multiclass", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"objective": "binary", "sigmoid": 2.0},
    ],
)
def test_lightgbm(tmp_path, settings):
    """Raw scores of a random forest are sums, and those of a sigmoid of its own slope are no logits."""
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is absent")
    binary = settings["objective"] == "binary"
    y, own, metric = (TWO, {}, "binary_logloss") if binary else (THREE, {}, "multi_logloss")
    train = lightgbm.Dataset(X[:300], y[:300])
    settings = settings | {"metric": metric, "verbosity": -1, "num_threads": 1} | ({} if binary else {"num_class": 3})
    with logitscope.record(tmp_path / "run", classes=2 if binary else 3) as rec:
        callbacks = [LightGBM(rec, val=(X[300:], y[300:])), lightgbm.record_evaluation(own)]
        valid = lightgbm.Dataset(X[300:], y[300:], reference=train)
        lightgbm.train(settings, train, 4, valid_sets=[valid], valid_names=["val"], callbacks=callbacks)
    same(tmp_path / "run", own["val"][metric])


def test_lightgbm_of_one_class_against_the_rest(tmp_path):
    """Its probabilities do not sum to one: the softmax of what is recorded is their shares."""
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is absent")
    settings = {"objective": "multiclassova", "num_class": 3, "verbosity": -1, "num_threads": 1}
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        model = lightgbm.train(settings, lightgbm.Dataset(X[:300], THREE[:300]), 3, callbacks=[LightGBM(rec, val=(X[300:], THREE[300:]))])
    p = model.predict(X[300:])
    p /= p.sum(axis=1, keepdims=True)
    assert abs(nlls(tmp_path / "run")[3] + np.log(p[np.arange(100), THREE[300:]]).mean()) <= 1e-5


def test_lightgbms_round_that_stops_early_is_recorded(tmp_path):
    """Early stopping leaves the round by an exception, and no callback after it is called."""
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is absent")
    settings = {"objective": "multiclass", "num_class": 3, "learning_rate": 0.8, "verbosity": -1, "num_threads": 1}
    own, model = [], None
    for _ in range(2):  # the second goes on from the first one's last round, not its best
        told, train = {}, lightgbm.Dataset(X[:300], THREE[:300])
        valid = lightgbm.Dataset(X[300:], THREE[300:], reference=train)
        with logitscope.record(tmp_path / "run", classes=3, resume=True) as rec:
            callbacks = [
                lightgbm.early_stopping(3, verbose=False),
                LightGBM(rec, val=(X[300:], THREE[300:])),
                lightgbm.record_evaluation(told),
            ]
            model = lightgbm.train(settings, train, 50, valid_sets=[valid], valid_names=["val"], init_model=model, callbacks=callbacks)
        own += told["val"]["multi_logloss"]
        assert len(told["val"]["multi_logloss"]) < 50
        model.save_model(tmp_path / "model.txt", num_iteration=-1)
        model = lightgbm.Booster(model_file=tmp_path / "model.txt")
    same(tmp_path / "run", own)


@pytest.mark.parametrize("numbers", [[-1, 1], [5, 10]])
def test_lightgbms_classifier_of_other_numbers(tmp_path, numbers):
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is absent")
    pytest.importorskip("sklearn", reason="scikit-learn is absent")
    y = np.array(numbers)[TWO]
    model = lightgbm.LGBMClassifier(n_estimators=3, verbosity=-1, n_jobs=1)
    with logitscope.record(tmp_path / "run", classes=[str(number) for number in numbers]) as rec:
        model.fit(X[:300], y[:300], eval_set=[(X[300:], y[300:])], callbacks=[LightGBM(rec, val=(X[300:], y[300:]))])
    same(tmp_path / "run", model.evals_result_["valid_0"]["binary_logloss"])


def test_classes_in_an_order_that_the_model_has_not(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is absent")
    from sklearn.linear_model import LogisticRegression

    with logitscope.record(tmp_path / "run", classes=["mid", "low", "top"]) as rec:
        with pytest.raises(ValueError, match="val: LGBMClassifier numbers classes in sorted order: name them so"):
            LightGBM(rec, val=(X, NAMES[THREE]))
        with pytest.raises(ValueError, match=r"classes: the model has them in another order: .* as low, mid, top"):
            sklearn_epoch(rec, 1, LogisticRegression().fit(X, NAMES[THREE]), val=(X, NAMES[THREE]))
    few = THREE < 2
    with (
        logitscope.record(tmp_path / "other", classes=["1", "2", "3"]) as rec,
        pytest.raises(ValueError, match="val: labels such as [12] are names of some classes and numbers of others"),
    ):
        LightGBM(rec, val=(X[few], THREE[few] + 1))


def test_lightgbms_classifier_with_names(tmp_path):
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is absent")
    pytest.importorskip("sklearn", reason="scikit-learn is absent")
    y = NAMES[THREE]
    with logitscope.record(tmp_path / "run", classes=NAMES) as rec:
        model = lightgbm.LGBMClassifier(n_estimators=3, verbosity=-1, n_jobs=1)
        model.fit(X[:300], y[:300], callbacks=[LightGBM(rec, val=(X[300:], y[300:]))])
    p = model.predict_proba(X[300:])
    assert abs(nlls(tmp_path / "run")[3] + np.log(p[np.arange(100), THREE[300:]]).mean()) <= 1e-5


def test_lightgbm_with_scores_to_begin_with(tmp_path):
    lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is absent")
    train = lightgbm.Dataset(X[:300], TWO[:300], init_score=np.ones(300))
    with logitscope.record(tmp_path / "run", classes=2) as rec, pytest.warns(logitscope.LogitscopeWarning, match="without the init_score"):
        lightgbm.train({"objective": "binary", "verbosity": -1}, train, 2, callbacks=[LightGBM(rec, val=(X[300:], TWO[300:]))])


def test_scikit_learn_says_what_it_cannot_record(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is absent")
    from sklearn.ensemble import GradientBoostingClassifier, IsolationForest
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipe = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=2)).fit(X[:300], THREE[:300])
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        with pytest.raises(TypeError, match="model: a LinearRegression has neither decision_function nor predict_proba"):
            sklearn_epoch(rec, 1, LinearRegression().fit(X, TWO), val=(X, TWO))
        with pytest.raises(TypeError, match="model: a IsolationForest has no classes_: it is no classifier"):
            sklearn_epoch(rec, 1, IsolationForest(n_estimators=2).fit(X), val=(X, TWO))
        with pytest.raises(TypeError, match=r"model: a Pipeline has no stages, .*: hand over its last step, model\[-1\], and what"):
            sklearn_stages(rec, pipe, val=(X, THREE))
        with pytest.raises(ValueError, match=r"y: \[400, 2\] is several classes a sample"):
            sklearn_epoch(rec, 1, LogisticRegression().fit(X, THREE), val=(X, np.c_[TWO, TWO]))
        for _ in range(2):  # the stages of the second are after those of the first
            sklearn_stages(rec, pipe[-1], val=(pipe[:-1].transform(X[300:]), THREE[300:, None]))
    assert list(nlls(tmp_path / "run")) == [1, 2, 3, 4]


def test_scikit_learns_margins_of_pairs_are_refused(tmp_path):
    """Of three classes there are three pairs: the margins have the shape of logits."""
    pytest.importorskip("sklearn", reason="scikit-learn is absent")
    from sklearn.model_selection import GridSearchCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    pairs = SVC(decision_function_shape="ovo")
    pipe = make_pipeline(StandardScaler(), pairs)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        for model in (pairs, pipe, GridSearchCV(pipe, {"svc__C": [1, 2]}, cv=2)):
            model.fit(X[:300], THREE[:300])
            with pytest.raises(ValueError, match="model: a SVC with decision_function_shape='ovo' gives a margin for each pair of classes"):
                sklearn_epoch(rec, 1, model, val=(X[300:], THREE[300:]))
        against = OneVsRestClassifier(pairs).fit(X[:300], THREE[:300])  # asks it of two classes, which are one pair
        sklearn_epoch(rec, 1, against, val=(X[300:], THREE[300:]))
        pairs.decision_function_shape = "ovr"
        sklearn_epoch(rec, 2, pairs.fit(X[:300], THREE[:300]), val=(X[300:], THREE[300:]))
    z = logitscope.open(tmp_path / "run").rows(2, "val")["logits"]
    assert np.allclose(z, pairs.decision_function(X[300:]), atol=1e-5)
    with logitscope.record(tmp_path / "two", classes=2) as rec:
        sklearn_epoch(rec, 1, SVC(decision_function_shape="ovo").fit(X[:300], TWO[:300]), val=(X[300:], TWO[300:]))
    assert list(nlls(tmp_path / "two")) == [1]


@pytest.mark.parametrize("classes", [2, 3])
def test_naive_bayes_of_many_words(tmp_path, classes):
    """Its probabilities are 0 and 1 in any float: what it says of them is in their logarithms. The first batches lack classes."""
    bayes = pytest.importorskip("sklearn.naive_bayes", reason="scikit-learn is absent")
    y, own, model = THREE % classes, [], bayes.MultinomialNB()
    words = np.random.default_rng(1).poisson(20 + 10 * (y[:, None] == np.arange(200) % classes))
    words[300::2] = words[301::2]  # half of them are wrong
    with logitscope.record(tmp_path / "run", classes=classes) as rec:
        for epoch in (1, 2):
            for batch in np.array_split(np.argsort(y[:300]), 5):
                model.partial_fit(words[batch], y[batch], classes=np.arange(classes))
            sklearn_epoch(rec, epoch, model, val=(words[300:], y[300:]))
            own.append(-model.predict_log_proba(words[300:])[np.arange(100), y[300:]].mean())
    assert (model.predict_proba(words[300:]) == 1).any()
    assert np.allclose(list(nlls(tmp_path / "run").values()), own, rtol=1e-6)


def keras_models():
    keras = pytest.importorskip("keras", reason="Keras is absent")

    class Subclass(keras.Model):
        def __init__(self):
            super().__init__()
            self.out, self.hidden = keras.layers.Dense(3), keras.layers.Dense(8, "relu")  # the output's layer is not the last

        def call(self, x):
            return keras.ops.softmax(self.out(self.hidden(x)))

    def sequential(*last):
        return keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), *last])

    from_logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    layer = keras.layers
    return {
        "logits": (sequential(layer.Dense(3)), from_logits),
        "a softmax layer": (sequential(layer.Dense(3), layer.Softmax()), "sparse_categorical_crossentropy"),
        "a layer behind the softmax": (
            sequential(layer.Dense(3, "softmax"), layer.Reshape((3,))),
            keras.losses.SparseCategoricalCrossentropy(),
        ),
        "a class of one's own": (Subclass(), "sparse_categorical_crossentropy"),
        "a loss of one's own": (Subclass(), lambda y, p: keras.losses.sparse_categorical_crossentropy(y, p)),
        "one logit": (sequential(layer.Dense(1)), keras.losses.BinaryCrossentropy(from_logits=True)),
        "one probability": (sequential(layer.Dense(1, "sigmoid")), "binary_crossentropy"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "logits",
        "a softmax layer",
        "a layer behind the softmax",
        "a class of one's own",
        "a loss of one's own",
        "one logit",
        "one probability",
    ],
)
def test_keras(tmp_path, case, monkeypatch):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    model, loss = keras_models()[case]
    y = TWO if case.startswith("one") else THREE
    val, path = (X[300:], y[300:]), tmp_path / "run"
    model.compile("adam", loss)
    own = []
    for begin, end in ((0, 2), (2, 3)):  # as a training that is taken up again
        with logitscope.record(path, classes=int(y.max()) + 1, resume=True) as rec:
            told = model.fit(X[:300], y[:300], epochs=end, initial_epoch=begin, validation_data=val, class_weight={0: 1.0, 1: 2.0, 2: 3.0},
                             verbose=0, callbacks=[Keras(rec, val=val)])  # fmt: skip
        own += told.history["val_loss"]
    same(path, own)
    assert Run(path).end["state"] == "complete"


def test_keras_fitted_an_epoch_at_a_time(tmp_path):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    model, loss = keras_models()["logits"]
    model.compile("adam", loss)
    val, own = (X[300:], THREE[300:]), []
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        for _ in range(3):
            own += model.fit(X[:300], THREE[:300], validation_data=val, verbose=0, callbacks=[Keras(rec, val=val)]).history["val_loss"]
    same(tmp_path / "run", own)


def keras_data(kind):
    """The validation set as people hand it over, and as what its labels are."""
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is absent")
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    keras = pytest.importorskip("keras", reason="Keras is absent")
    x, y = X[300:], THREE[300:]

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return x[25 * i : 25 * i + 25], y[25 * i : 25 * i + 25]

    tables = tf.data.Dataset.from_tensor_slices
    return {
        "weights": lambda: (x, y, np.ones(100)),
        "tf.data": lambda: tables((x, y)).batch(32),
        "tf.data, one-hot with weights": lambda: tables((x, np.eye(3, dtype=np.float32)[y], np.ones(100))).batch(32),
        "tf.data, shuffled": lambda: tables((x, y)).shuffle(100, seed=1).batch(32),
        "a PyDataset": lambda: Batches(),
        "a DataLoader": lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y)), 32),
    }[kind]()


def done_in_a_process_of_its_own(request):
    """TensorFlow stays out of this one: with it loaded, to import the compiler of PyTorch ends the process."""
    if "LOGITSCOPE_TEST_CHILD" in os.environ:
        return False
    env = {**os.environ, "LOGITSCOPE_TEST_CHILD": "1", "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", f"{request.path}::{request.node.name}"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    if "1 skipped" in done.stdout:
        pytest.skip(done.stdout.splitlines()[-2])
    return True


def test_keras_data_sets(tmp_path, request):
    if done_in_a_process_of_its_own(request):
        return
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip("keras", reason="Keras is absent")
    for kind in ("weights", "tf.data", "tf.data, one-hot with weights", "tf.data, shuffled", "a PyDataset", "a DataLoader"):
        keras_data_set(tmp_path / "run", kind)
        shutil.rmtree(tmp_path / "run")


def keras_data_set(path, kind):
    """Trains with a data set for validation, and compares what was recorded of it."""
    data, (model, loss) = keras_data(kind), keras_models()["a softmax layer"]
    model.compile("adam", "categorical_crossentropy" if "one-hot" in kind else loss)
    y = np.eye(3, dtype=np.float32)[THREE] if "one-hot" in kind else THREE
    with warnings.catch_warnings(record=True) as told, logitscope.record(path, classes=3) as rec:
        warnings.simplefilter("always", logitscope.LogitscopeWarning)
        own = model.fit(X[:300], y[:300], epochs=3, validation_data=data, verbose=0, callbacks=[Keras(rec, val=data)]).history["val_loss"]
    same(path, own)
    ids = [set(logitscope.open(path).rows(epoch, "val")["id"].tolist()) for epoch in (1, 2, 3)]
    said = [str(w.message) for w in told if w.category is logitscope.LogitscopeWarning]
    if "shuffled" in kind:
        assert len(said) == 1 and "from epoch 2 on each epoch's rows count as new samples" in said[0]
        assert not ids[1] & ids[2]
    else:
        assert not said
        assert ids == [set(range(100))] * 3


def test_keras_says_what_it_cannot_record(tmp_path, request):
    if done_in_a_process_of_its_own(request):
        return
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="Keras is absent")
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is absent")
    x = keras.Input((6,))
    model = keras.Model(x, {"one": keras.layers.Dense(3)(x), "two": keras.layers.Dense(1)(x)})
    model.compile("adam", {"one": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "two": "mse"})
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        with pytest.raises(TypeError, match=r"val: want .x, y., or a data set of such batches, not ndarray"):
            Keras(rec, val=X)
        with pytest.raises(TypeError, match="val: a generator is iterated once only"):
            Keras(rec, val=((X, THREE) for _ in range(3)))
        with pytest.raises(ValueError, match=r"val: it never ends, as after repeat"):
            Keras(rec, val=tf.data.Dataset.from_tensor_slices((X, THREE)).batch(32).repeat())
        with pytest.raises(TypeError, match="model: it has 2 outputs"):
            model.fit(X, {"one": THREE, "two": X[:, :1]}, verbose=0, callbacks=[Keras(rec, val=(X, THREE))])


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_keras_trains_as_it_would(tmp_path, backend):
    """What the callback passes over draws no random number that the training would have had."""
    pytest.importorskip("keras", reason="Keras is absent")
    pytest.importorskip(backend, reason=f"{backend} is absent")
    text = """
        import sys, keras, logitscope, numpy as np
        from logitscope.callbacks import Keras
        x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
        y = (x[:, 0] > 0).astype(int)

        def train(*callbacks):
            keras.utils.set_random_seed(1)
            model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(2)])
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(x, y, epochs=3, verbose=0, callbacks=list(callbacks))
            return model.get_weights()

        with logitscope.record(sys.argv[1], classes=2) as rec:
            assert all(map(np.array_equal, train(), train(Keras(rec, val=(x, y)))))
    """
    env = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    subprocess.run([sys.executable, "-c", textwrap.dedent(text), tmp_path / "run"], check=True, env=env, timeout=600)
