"""Names from Keras, PyTorch and scikit-learn that people type, and Fitstop's names for them.

`FIELDS` maps to fields of the spec, the likeliest first. `WITHOUT_EQUIVALENT` maps to the reason why Fitstop has no
such field. `VALUES` maps to values of a field. Names are compared without case, spaces, underscores and hyphens.
"""

from collections.abc import Collection

_EARLY = "callbacks.early_stopping."
_REDUCE = "callbacks.reduce_lr_on_plateau."
_SCHEDULE = "callbacks.learning_rate_schedule."
_CHECKPOINT = "callbacks.model_checkpoint."
_HYPER = "hyperparameters."

_FIELDS: dict[str, tuple[str, ...]] = {
    # Hyperparameters
    "lr learning_rate_init eta eta0 initial_learning_rate base_lr max_lr": (_HYPER + "learning_rate",),
    "bs batch batchsize minibatch minibatch_size per_device_train_batch_size": (_HYPER + "batch_size",),
    "epoch num_epochs n_epochs max_epochs nb_epoch nepochs max_iter iterations num_train_epochs n_iter": (
        _HYPER + "epochs",
    ),
    "opt optim solver": (_HYPER + "optimizer",),
    "criterion loss_fn loss_function objective": (_HYPER + "loss",),
    "metric scoring eval_metric": (_HYPER + "metrics",),
    "class_weights sample_weight weights balanced": (_HYPER + "class_weight",),
    "jit_compile jit": (_HYPER + "xla",),
    "dtype mixed_precision fp16 amp": (_HYPER + "precision",),
    "devices gpus num_gpus n_gpus gpu_count num_devices": (_HYPER + "devices",),
    "seed random_seed manual_seed": (_HYPER + "seed",),
    # The one seed of scikit-learn corresponds to two of Fitstop.
    "random_state": (_HYPER + "seed", "dataset.split_seed"),
    # Dataset
    "validation_split val_split validation_size valid_size val_size": ("dataset.validation_fraction",),
    # The test part of scikit-learn is the validation part of Keras.
    "test_size test_split": ("dataset.validation_fraction", "dataset.test_fraction"),
    "train_size train_fraction": ("dataset.validation_fraction",),
    "y label labels target_column output class_column y_col": ("dataset.target",),
    "drop dropp ignore exclude skip drop_column dropcols drop_cols ignore_columns exclude_columns": (
        "dataset.drop_columns",
    ),
    "categories categorical_columns categorical_features cat_features cat_cols": ("dataset.categorical",),
    "impute imputer fillna missing_values na handle_missing nan": ("dataset.missing",),
    "scaler normalize normalise normalization standardize scale preprocessing": ("dataset.scaling",),
    "stratified": ("dataset.stratify",),
    "pos_label positive_class threshold positive_label": ("dataset.positive",),
    "dataset_id data_id": ("dataset.id",),
    "data": ("dataset",),
    # Model
    "hidden_layer_sizes units hidden_units hidden_layers hidden neurons widths layer_sizes hidden_size": (
        "model.layers",
    ),
    "act activation_fn nonlinearity": ("model.activation",),
    "dropout_rate drop_rate p": ("model.dropout",),
    "batch_norm bn batchnorm": ("model.batch_normalization",),
    "architecture network type": ("model.kind",),
    # Callbacks
    "epsilon tol delta min_improvement threshold": (_EARLY + "min_delta", _REDUCE + "min_delta"),
    "n_iter_no_change patience_epochs wait": (_EARLY + "patience", _REDUCE + "patience"),
    "min_delta": (_EARLY + "min_delta", _REDUCE + "min_delta"),
    "patience": (_EARLY + "patience", _REDUCE + "patience"),
    "monitor watch": (_EARLY + "monitor", _REDUCE + "monitor", _CHECKPOINT + "monitor"),
    "mode direction": (_EARLY + "mode", _REDUCE + "mode", _CHECKPOINT + "mode"),
    "start_epoch": (_EARLY + "start_from_epoch",),
    "warmup warmup_steps num_warmup_epochs": (_SCHEDULE + "warmup_epochs", _EARLY + "start_from_epoch"),
    "factor gamma lr_factor decay": (_REDUCE + "factor",),
    "min_lr lr_min eta_min min_learning_rate": (_REDUCE + "min_lr",),
    "cooldown cool_down": (_REDUCE + "cooldown",),
    "save_best_only save_best best_only": (_CHECKPOINT + "save_best_only",),
    "save_top_k max_to_keep keep_last": (_CHECKPOINT + "keep",),
    "filepath file_name path": (_CHECKPOINT + "filename",),
    "save_format": (_CHECKPOINT + "format",),
    "sep delimiter": ("callbacks.csv_logger.separator",),
    "earlystopping earlystop": ("callbacks.early_stopping",),
    "reducelronplateau reduce_lr reducelr": ("callbacks.reduce_lr_on_plateau",),
    "lr_schedule lr_scheduler scheduler learning_rate_scheduler": ("callbacks.learning_rate_schedule",),
    "modelcheckpoint checkpoint": ("callbacks.model_checkpoint",),
    "csvlogger csv_log": ("callbacks.csv_logger",),
    # Job
    "tags labels_of_job notes description": ("metadata",),
    "title job_name": ("name",),
    "params hparams hyper_parameters config training": ("hyperparameters",),
    "timeout max_time time_limit max_seconds": ("budget.max_gpu_seconds",),
    "cost price max_price": ("budget.max_cost",),
}

_NO_SWITCH = "There is no such setting: "
_WITHOUT_EQUIVALENT: dict[str, str] = {
    "restore_best_weights": _NO_SWITCH + "the best model is always kept as a checkpoint.",
    "verbose": _NO_SWITCH + "every epoch is in the job's events.",
    "save_weights_only": _NO_SWITCH + "a checkpoint is always a whole model.",
    "save_freq period": _NO_SWITCH + "checkpoints are written at the end of an epoch.",
    "baseline": _NO_SWITCH + "early stopping counts from the best value so far.",
    "initial_value_threshold": _NO_SWITCH + "the first epoch is always kept.",
    "append": _NO_SWITCH + "the log is always complete from epoch 1.",
    "shuffle": _NO_SWITCH + "rows are always shuffled, by `seed`.",
    "betas": "An optimizer's arguments are given with its name: optimizer: {name: adam, beta_1: 0.9, beta_2: 0.999}.",
    "validation_data": _NO_SWITCH + "the validation part is split off by dataset.validation_fraction.",
    "steps_per_epoch validation_steps": _NO_SWITCH + "an epoch is all training rows once.",
    "workers num_workers n_jobs use_multiprocessing": _NO_SWITCH + "the worker decides how data is loaded.",
    "device accelerator": _NO_SWITCH
    + "a job trains on what its worker has; hyperparameters.devices is how many of them.",
    "callbacks_list callback": "Callbacks are given by their names below `callbacks`.",
    "early_stopping_rounds": "Early stopping is set by callbacks.early_stopping.patience.",
}

_VALUES: dict[str, tuple[str, ...]] = {
    "bce binarycrossentropy bcewithlogitsloss bceloss logloss binary_logloss": ("binary_crossentropy",),
    "crossentropy crossentropyloss categoricalcrossentropy sparse_ce nllloss cce scce": (
        "sparse_categorical_crossentropy",
        "binary_crossentropy",
    ),
    "mse l2 mseloss squared_error meansquarederror l2loss": ("mse", "mean_squared_error"),
    "mae l1 l1loss absolute_error meanabsoluteerror": ("mae", "mean_absolute_error"),
    "huberloss smooth_l1 smoothl1loss": ("huber",),
    "rmse root_mean_squared_error": ("rmse", "mean_squared_error"),
    "r2score r_squared rsquared": ("r2",),
    "acc binary_accuracy categorical_accuracy sparse_categorical_accuracy accuracy_score": ("accuracy",),
    "roc_auc auroc roc_auc_score": ("auc",),
    "prec precision_score": ("precision",),
    "rec recall_score sensitivity tpr": ("recall",),
    "swish": ("silu",),
    "leakyrelu": ("leaky_relu",),
    "identity none": ("linear", "none"),
    "logistic": ("sigmoid",),
    "sgd_momentum": ("sgd",),
    "standardscaler zscore z_score standardize": ("standard",),
    "minmaxscaler normalize": ("minmax",),
    "robustscaler": ("robust",),
    "mean median fill ffill most_frequent constant interpolate": ("impute",),
    "dropna delete remove": ("drop",),
    "maximize maximum higher": ("max",),
    "minimize minimum lower": ("min",),
    "hdf5": ("h5",),
    "tf savedmodel": ("keras",),
    "fp16 float16 half mixed": ("mixed_float16",),
    "bf16 bfloat16": ("mixed_bfloat16",),
    "fp32 single": ("float32",),
    "mlp linear sequential feedforward": ("dense",),
    "tab": ("\t",),
    "comma": (",",),
}


def plain(name: str) -> str:
    """The normalized name for comparison: `EarlyStopping`, `early-stopping` and `early_stopping` are equal."""
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


def _by_plain_name(table: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {plain(name): found for names, found in table.items() for name in names.split()}


FIELDS = _by_plain_name(_FIELDS)
VALUES = _by_plain_name(_VALUES)
WITHOUT_EQUIVALENT = {plain(name): why for names, why in _WITHOUT_EQUIVALENT.items() for name in names.split()}


def meant_value(typed: str, known: Collection[str]) -> str | None:
    """The value of `known` that `typed` means, by its spelling or another library's name; None if nothing matches."""
    name = plain(typed)
    same = next((one for one in known if plain(one) == name), None)
    return same or next((one for one in VALUES.get(name, ()) if one in known), None)


def meant_log_name(typed: str, known: Collection[str]) -> str | None:
    """The log name that `typed` means, such as `val_accuracy` for `validation_acc`; None if nothing matches."""
    for prefix in ("validation_", "valid_", "val_", "test_"):
        if typed.startswith(prefix):
            own = {name.removeprefix("val_") for name in known if name.startswith("val_")}
            meant = meant_value(typed.removeprefix(prefix), own)
            return f"val_{meant}" if meant else None
    return meant_value(typed, {name for name in known if not name.startswith("val_")})
