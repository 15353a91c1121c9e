"""What the course fixes: names, questions, settings, thresholds. Next year's course edits this.

Plain data: importing it costs nothing, and nothing here is measured or tuned.
"""

import re
from dataclasses import dataclass

#: The three files are named COURSE_WORK_ID1_ID2; the placeholders stand in the notebook until
#: the students set their IDs.
COURSE_WORK = "HW1"
PLACEHOLDERS = ("ID1", "ID2")
ID = re.compile(r"[0-9]{5,9}")
ID_RULE = "5 to 9 digits"

#: Q2.II: the network of MNIST and its training.
INPUT_SIZE, HIDDEN_SIZE, OUTPUT_SIZE = 784, 128, 10
SEED = 42
NUM_EPOCHS = 16
BATCH_SIZE = 32
LEARNING_RATE = 0.01
LEARNING_RATES = (0.01, 0.1, 1.0)
#: What Q2.II.a asks to be saved.
WEIGHT_SHAPES = {
    "W1": (INPUT_SIZE, HIDDEN_SIZE),
    "b1": (HIDDEN_SIZE,),
    "W2": (HIDDEN_SIZE, OUTPUT_SIZE),
    "b2": (OUTPUT_SIZE,),
}

#: Q3.I: the accuracy asked for on the test split, and the parameters below which a bonus is.
ASKED_ACCURACY = 0.65
BONUS_PARAMETERS = 100_000


@dataclass(frozen=True)
class Question:
    """What the answer to a question has to hold.

    Attributes:
        words: of prose or formulas, besides the question itself.
        formula: whether there is a displayed one.
        defines: functions and classes whose source is shown.
        curves: splits on which loss and accuracy are plotted against epochs.
        trainings: how many of each are plotted.
        figures: words, each of them in a figure of its own.
        photos: whether a figure shows a photo.
    """

    words: int = 0
    formula: bool = False
    defines: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    trainings: int = 1
    figures: tuple[str, ...] = ()
    photos: bool = False


#: In the assignment's order. Q3.II is answered by its parts.
QUESTIONS = {
    "Q1.I": Question(words=20, formula=True),
    "Q1.II": Question(words=20, formula=True),
    "Q2.I": Question(defines=("d_sigmoid", "d_tanh", "d_softmax")),
    "Q2.II": Question(words=20, defines=("FullyConnectedNetwork", "forward", "backward")),
    "Q2.II.a": Question(curves=("train", "test")),
    "Q2.II.b": Question(words=40, curves=("train", "test"), trainings=len(LEARNING_RATES)),
    "Q3.I": Question(words=40, curves=("train", "val")),
    "Q3.II": Question(),
    "Q3.II.1": Question(words=5),
    "Q3.II.2": Question(photos=True),
    "Q3.II.3": Question(words=10),
    "Q3.II.4": Question(words=10),
    "Q3.II.5": Question(words=5, photos=True),
    "Q3.II.6": Question(words=20, figures=("filters", "responses")),
}
