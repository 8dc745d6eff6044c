"""The classes and names of Keras that an untrusted model configuration may use. Needs no Keras."""

LAYERS = frozenset(
    {
        "Activation", "ActivityRegularization", "Add", "AdditiveAttention", "AlphaDropout", "Attention", "Average",
        "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "BatchNormalization", "Bidirectional",
        "CategoryEncoding", "CenterCrop", "Concatenate", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose",
        "Conv3D", "Conv3DTranspose", "ConvLSTM1D", "ConvLSTM2D", "Cropping1D", "Cropping2D", "Dense",
        "DepthwiseConv1D", "DepthwiseConv2D", "Dot", "Dropout", "ELU", "EinsumDense", "Embedding", "Flatten", "GRU",
        "GRUCell", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
        "GlobalAveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
        "GroupNormalization", "GroupQueryAttention", "Identity", "InputLayer", "LSTM", "LSTMCell",
        "LayerNormalization", "LeakyReLU", "Masking", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum",
        "Minimum", "MultiHeadAttention", "Multiply", "Normalization", "PReLU", "Permute", "RMSNormalization", "RNN",
        "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation",
        "RandomZoom", "ReLU", "RepeatVector", "Rescaling", "Reshape", "Resizing", "SeparableConv1D",
        "SeparableConv2D", "SimpleRNN", "SimpleRNNCell", "Softmax", "SpatialDropout1D", "SpatialDropout2D",
        "SpatialDropout3D", "SpectralNormalization", "StackedRNNCells", "Subtract", "TimeDistributed",
        "UnitNormalization", "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D",
        "ZeroPadding3D",
    }
)  # fmt: skip
MODELS = frozenset({"Functional", "Sequential"})
_INITIALIZERS = frozenset(
    {
        "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "LecunNormal",
        "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
        "Zeros",
    }
)  # fmt: skip
_REGULARIZERS = frozenset({"L1", "L2", "L1L2", "OrthogonalRegularizer"})
_CONSTRAINTS = frozenset({"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"})

# Layers of Keras that are not in keras.layers.
CONVNEXT_LAYERS = frozenset({"LayerScale", "StochasticDepth"})

# The operations of `a + b` in a functional model, and of the order of color channels before a ResNet.
_OPERATIONS = frozenset({"Add", "Divide", "Flip", "Multiply", "Negative", "Subtract", "TrueDivide"})

CLASSES: dict[str, frozenset[str]] = {
    "keras": MODELS | {"DTypePolicy"},
    "keras.models": MODELS,
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.src.models.sequential": frozenset({"Sequential"}),
    "keras.layers": LAYERS,
    "keras.src.applications.convnext": CONVNEXT_LAYERS,
    "keras.src.ops.numpy": _OPERATIONS,
    "keras.initializers": _INITIALIZERS,
    "keras.regularizers": _REGULARIZERS,
    "keras.constraints": _CONSTRAINTS,
}

# Names that Keras resolves; a test compares them with those of Keras.
ACTIVATIONS = frozenset(
    {
        "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
        "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid",
        "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax",
        "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
    }
)  # fmt: skip
_SHORT_INITIALIZERS = frozenset(
    {
        "constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal",
        "lecun_uniform", "normal", "one", "ones", "orthogonal", "random_normal", "random_uniform",
        "truncated_normal", "uniform", "variance_scaling", "zero", "zeros",
    }
)  # fmt: skip
DTYPES = frozenset(
    {
        "bfloat16", "bool", "float16", "float32", "float64", "int16", "int32", "int64", "int8", "mixed_bfloat16",
        "mixed_float16", "uint16", "uint32", "uint64", "uint8",
    }
)  # fmt: skip
# Allowed texts, by the end of a field's name.
TEXTS: dict[str, frozenset[str]] = {
    "activation": ACTIVATIONS,
    "initializer": _INITIALIZERS | _SHORT_INITIALIZERS,
    "regularizer": _REGULARIZERS | {"l1", "l2", "l1l2", "orthogonal_regularizer"},
    "constraint": _CONSTRAINTS | {"max_norm", "min_max_norm", "non_neg", "unit_norm"},
    "dtype": DTYPES,
}
