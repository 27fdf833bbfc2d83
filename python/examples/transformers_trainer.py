"""Hugging Face's Trainer: the model computes its own loss, and tells. usage: python transformers_trainer.py [RUN]"""

import json
import sys
import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import logitscope
from logitscope.callbacks import watch_trainer

path = sys.argv[1] if len(sys.argv) > 1 else "runs/transformers_trainer"

torch.manual_seed(0)
size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
tokens = torch.randint(5, 100, (300, 12))
data = [{"input_ids": t, "labels": int(t[0] > 50)} for t in tokens]
config = BertConfig(vocab_size=100, max_position_embeddings=16, num_labels=2, **size)

texts = [" ".join(f"word{i}" for i in t.tolist()) for t in tokens]  # which the page shows; of datasets: dataset["text"]
with logitscope.record(path, classes=["low", "high"], previews={"train": texts[:200], "val": texts[200:]}) as rec:
    arguments = TrainingArguments(
        tempfile.mkdtemp(), num_train_epochs=3, per_device_train_batch_size=16, per_device_eval_batch_size=50, eval_strategy="epoch",
        learning_rate=1e-3, report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(
        BertForSequenceClassification(config), arguments, train_dataset=data[:200], eval_dataset=data[200:],
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
    )  # fmt: skip
    watch_trainer(rec, trainer).train()
history = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
print(json.dumps({"val": {"nll": [e["eval_loss"] for e in history], "error": [1 - e["eval_accuracy"] for e in history]}}))
print(f"recorded in {path}; look at it: logitscope show {path}, or logitscope view {path} in a browser")
