"""Golden values for the weights of texts' n-grams, by scikit-learn's TfidfVectorizer: words and pairs of words that two of the
first texts have, all texts weighted.

usage: python3 tools/oracle/tfidf.py > dataset/testdata/tfidf.json
"""
import json
import sys

import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer

texts = [
    "The gull eats the fish, and the fish is small.", "A crow eats anything at all", "the swan eats grass; the goose eats grass",
    "Fish is what the gull eats", "Grass, grass, grass!", "a small crow", "The swan is white and the gull is white",
    "anything goes", "nothing of this was seen", "the gull eats the unseen fish: fish, fish",
]
fitted = 7
v = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\w+").fit(texts[:fitted])
rows = v.transform(texts).tocsr()
json.dump({
    "sklearn": sklearn.__version__, "texts": texts, "fitted": fitted, "terms": len(v.vocabulary_),
    "weights": [sorted(rows[i].data.tolist()) for i in range(len(texts))],
}, sys.stdout)
print()
