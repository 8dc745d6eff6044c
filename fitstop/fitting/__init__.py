"""`fitstop.fit`:

a call of `model.fit` becomes a job. The rule of this folder: it imports neither Keras nor TensorFlow. It works on the
objects that it is given, by their public methods and by the names of their classes. numpy is imported when there are
arrays, not before. What cannot be sent is collected, and one CannotSend names all of it.
"""
