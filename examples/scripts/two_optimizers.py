"""Two networks against each other: an own training step with two optimizers, whose logs are no metrics."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(14)
losses = keras.losses.BinaryCrossentropy(from_logits=True)


class Adversarial(keras.Model):
    """`call` is not needed: only the training step knows how the networks work together."""

    def __init__(self, width, rows):
        super().__init__()
        hidden = [keras.layers.Dense(16, activation="relu") for _ in range(2)]
        self.generator = keras.Sequential([hidden[0], keras.layers.Dense(rows)])
        self.critic = keras.Sequential([hidden[1], keras.layers.Dropout(0.2), keras.layers.Dense(1)])
        self.width = width
        self.draws = keras.random.SeedGenerator(14)

    def compile(self, for_generator, for_critic):
        super().compile()
        self.for_generator, self.for_critic = for_generator, for_critic

    def train_step(self, real):
        noise = keras.random.normal((tf.shape(real)[0], self.width), seed=self.draws)
        with tf.GradientTape(persistent=True) as tape:
            of_fake = self.critic(self.generator(noise), training=True)
            of_real = self.critic(real, training=True)
            critic_loss = losses(tf.ones_like(of_real), of_real) + losses(tf.zeros_like(of_fake), of_fake)
            generator_loss = losses(tf.ones_like(of_fake), of_fake)
        for network, loss, optimizer in (
            (self.critic, critic_loss, self.for_critic),
            (self.generator, generator_loss, self.for_generator),
        ):
            optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return {"critic_loss": critic_loss, "generator_loss": generator_loss}


rng = np.random.default_rng(14)
x = (rng.normal(size=(200, 6)) * 0.2 + 1).astype("float32")
model = Adversarial(width=4, rows=6)
model.compile(keras.optimizers.Adam(0.002), keras.optimizers.Adam(0.002))
stop = keras.callbacks.EarlyStopping("generator_loss", mode="min", patience=6)
history = model.fit(x, epochs=14, batch_size=32, callbacks=[stop, keras.callbacks.CSVLogger("losses.csv")])
print(history.history["critic_loss"])
model.generator.save("generator.keras")
