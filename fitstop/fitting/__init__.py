"""`fitstop.fit` turns a call of `model.fit` into a job.

The rule of this folder: it imports neither Keras nor TensorFlow, and uses the given objects by their public methods and
the names of their classes. It imports numpy only when there are arrays. Everything that cannot be sent is collected,
and one CannotSend names all of it.
"""
