// The parts of the form: which places of the spec they show, and what a person calls them.

const SPLIT = [["dataset/validation_fraction", "Validation split"], ["dataset/test_fraction", "Test split"], ["dataset/stratify", "Stratified split"]];

/** By the kind of the dataset. */
const DATA = {
  table: [{ title: "Prediction and preprocessing", places: [["dataset/validation_fraction", "Validation split"], ["dataset/test_fraction", "Test split"], ["dataset/missing", "Missing values"], ["dataset/categorical_encoding", "Categorical encoding"], ["dataset/scaling", "Scaling"], ["dataset/drop_columns", "Excluded columns"], ["dataset/stratify", "Stratified split"]], extra: "target" }],
  images: [
    { title: "Images", places: [["dataset/size", "Image size"], ["dataset/resize", "Resizing"], ["dataset/channels", "Channels"], ...SPLIT] },
    { title: "Augmentation", all: "dataset/augment", places: [["dataset/augment/flip_horizontal", "Horizontal flip"], ["dataset/augment/flip_vertical", "Vertical flip"]] },
  ],
  arrays: [{ title: "Validation", places: SPLIT }],
};

/** By the kind of the model. The layers of a Keras model are in its JSON. */
const MODEL = {
  dense: [["model/layers", "Hidden layers"], ["model/activation", "Activation"], ["model/dropout", "Dropout"], ["model/batch_normalization", "Batch normalization"]],
  cnn: [["model/filters", "Filters"], ["model/kernel_size", "Kernel size"], ["model/pooling", "Pooling"], ["model/batch_normalization", "Batch normalization"], ["model/activation", "Activation"], ["model/dense", "Dense layers"], ["model/dropout", "Dropout"]],
  application: [["model/name", "Network"], ["model/weights", "Weights"], ["model/trainable", "Trainable layers"], ["model/dropout", "Dropout"]],
  keras: [["model/weights", "Weights"]],
  job: [["model/trainable", "Trainable layers"]],
};

const TRAINING = [
  { title: "Training", places: [["hyperparameters/epochs", "Max epochs"], ["hyperparameters/batch_size", "Batch size"], ["hyperparameters/metrics", "Metrics"], ["hyperparameters/class_weight", "Class weights"], ["hyperparameters/precision", "Precision"], ["hyperparameters/seed", "Seed"], ["hyperparameters/devices", "Devices"]] },
  { title: "Optimizer and learning rate", named: ["hyperparameters/optimizer", "Optimizer"], places: [["hyperparameters/learning_rate", "Learning rate"]] },
  { title: "Loss function", named: ["hyperparameters/loss", "Loss"], places: [] },
  { title: "Early stopping", switch: "callbacks/early_stopping", places: [["callbacks/early_stopping/monitor", "Monitor"], ["callbacks/early_stopping/patience", "Patience"], ["callbacks/early_stopping/min_delta", "Min delta"], ["callbacks/early_stopping/start_from_epoch", "Start from epoch"]] },
  { title: "Learning-rate schedule", switch: "callbacks/learning_rate_schedule", instead: "callbacks/reduce_lr_on_plateau", all: "callbacks/learning_rate_schedule", places: [["callbacks/learning_rate_schedule/kind", "Decay"], ["callbacks/learning_rate_schedule/warmup_epochs", "Warm-up epochs"], ["callbacks/learning_rate_schedule/decay_epochs", "Decay epochs"], ["callbacks/learning_rate_schedule/factor", "Decay factor"], ["callbacks/learning_rate_schedule/min_lr", "Min learning rate"]] },
  { title: "Reduce learning rate on plateau", switch: "callbacks/reduce_lr_on_plateau", instead: "callbacks/learning_rate_schedule", places: [["callbacks/reduce_lr_on_plateau/monitor", "Monitor"], ["callbacks/reduce_lr_on_plateau/factor", "Factor"], ["callbacks/reduce_lr_on_plateau/patience", "Patience"], ["callbacks/reduce_lr_on_plateau/min_lr", "Min learning rate"]] },
  { title: "Checkpoints", switch: "callbacks/model_checkpoint", places: [["callbacks/model_checkpoint/monitor", "Monitor"], ["callbacks/model_checkpoint/keep", "Checkpoints to keep"]] },
  { title: "Budget", places: [["budget/max_gpu_seconds", "Max compute time in seconds"], ["budget/max_cost", "Max cost"], ["budget/deadline", "Deadline"]] },
  { title: "Name and priority", places: [["name", "Name"], ["priority", "Priority"]], extra: "metadata" },
];

/**
 * The form's parts for the kinds of a dataset and a model. A place that the schema does not have is left out.
 *
 * `all` adds every other field of a place, `named` a name with its arguments. `switch` is a part that null switches off,
 * `instead` one that is off while this one is on. `extra` is what the form shows beside the fields.
 */
export function groupsOf({ dataset, model }) {
  return [...DATA[dataset], { title: "Model", places: MODEL[model], extra: "model" }, ...TRAINING];
}
