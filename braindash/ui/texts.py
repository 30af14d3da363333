"""What the pages say about their numbers: what each is, how it is computed, and the source."""

import re

from braindash.probing.tasks import PROBE_TASKS

_CODE = re.compile(r"(`[^`\n]*`)")
# What Streamlit's Markdown takes for more than a sign: emphasis, formulas, links, pictures (which a
# browser would fetch), colours and icons, headings and quotes.
_MARKUP = re.compile(
    r"[*~$]|(?<!\w)_|_(?!\w)|\](?=[(\[])|!(?=\[)|:(?=[\w+-]+[:\[])|^[#>]", re.MULTILINE
)

LAYERS = r"""
**Score.** Each layer's features, delayed by 1 to 4 TRs, predict every target (vertex) with ridge
regression; the penalty is chosen per target on the training stories alone (leave-stories-out; with
fewer than three, chunks of 20 rows are left out). The
curve is the mean Pearson correlation between predicted and measured response to the *test* story
over the region's valid targets, both hemispheres.

**Noise ceiling** (dotted): the correlation that a perfect model could reach with this noise.
*repeats*: from the $N$ repeats of the test story, $1/\sqrt{1 + (TP/SP - 1)/N}$ with the total and
the signal power $TP$ and $SP$ (Schoppe et al. 2016).
*inter-subject*: the correlation of the subject with the mean of the others. *given*: the one that
the data set's manifest names, before all others. **r / ceiling** divides
target by target where the ceiling exceeds 0.4 (between subjects: 0.1), and is never clipped.

**Intervals** (bands): 95 %. Of one subject or two, blocks of test-story rows are drawn again
with replacement (Politis & Romano 1992): how far the number would move with another stretch of
story. From three subjects on, the variance of the mean is that of subjects and of the story time
which they share, $V = V_S + \max(V_T - V_{ST}/2, 0)$: it holds for other subjects and other
stretches of story. The line under the figure says which, and of how many units. Bands of two models
may overlap although their paired difference is sure, so read the difference.

**Difference.** A minus B, $\bar d_{l} = \frac1n \sum_i (a_{il} - b_{il})$ over the subjects $i$
that both models have; within subjects the same test rows are drawn for both. With three subjects or
more $p$ is Student's, of the variance above; the *adjusted* $p$ is Holm's over all regions and
layers of the table, shown or not. Sign flips and Wilcoxon's ranks, in the download, are of the
subjects alone: they hold for this very story, and reject too often for others.

**Score-weighted depth** of the layers $l = 0 \dots L$ with scores $s_l$:
$\sum_l \frac{l}{L} \max(s_l, 0) \big/ \sum_l \max(s_l, 0)$, from 0 (first layer) to 1 (last).
The **preferred layer** has the highest score; it jumps where several are nearly as good, so read
the weighted depth first. The **late-layer drop** is the score at the best layer minus that at the
last one: how much of its best a model loses late.

**Explained by low level**, where it was computed: with the method *residual* $1 - r_{res}/r$,
$r_{res}$ being the score after spectrogram, energy and pitch were regressed out of the features;
with *banded* the low-level space's part of the joint $R^2$
(Dupré la Tour et al. 2022).

**Layer 0** is the input of the first transformer block; the last layer is taken after the
encoder's final layer norm. **Regions** are spheres around published coordinates, not parcels.
**Time**: with exact features every window is causal; the Lanczos filter that brings them to the
response times reaches 3 TR to both sides.
"""

CORTEX = r"""
**Score**: Pearson correlation of predicted and measured response to the test story at every vertex,
or that divided by the noise ceiling. Layer, threshold, colours and shape change in your browser,
without asking the server.

**Significant.** Drift and the measured response's own autocorrelation (AR(3)) are taken out of
response and prediction; $p$ compares the correlation of what is left with its mean and spread over
all orders of blocks of rows. So $p$ is of the signal that the two share, not of $r$ itself, which
stays the number that is shown. Older results, and runs that ask for it, permuted blocks of the
response instead; captions say which. $q$ is the false discovery rate of a layer's targets
(Benjamini & Hochberg 1995): at $q \le 0.05$
about one in twenty coloured vertices is coloured by chance. A layer that you pick because it is the
best is significant more often than its own $q$ says: the **best of all layers** has a $p$ and $q$
that count the choice.

**Preferred layer**: the layer with the highest $r$. **Confidence**: the chance that it is the best,
by block bootstrap of the test story, with the differences among layers shrunken as far as those of
all vertices say. Results of older versions hold the plain share of the samples, which is far too
sure on short stories; the line under the map says which. Masked: vertices whose noise ceiling is
too low, whose best layer is not significant as the best of all, or whose confidence is below the
slider. Colours between two vertices are blended.

**Noise ceiling**: the correlation that a perfect model could reach, from the repeats of the test
story or from the other subjects. **Difference**: the score of model A minus that of model B at the
same layer; **difference where significant** masks it by a paired test of every vertex there, with a
$q$ of its own over the vertices, computed once from the stored predictions.

**The curve of a vertex** has filled markers where the layer is significant.

**Keys**: left and right arrow change the layer, space plays, F unfolds, V changes the views, S
saves a view, 1 to 9 go back to saved ones. Drag to turn all views together, use the wheel to zoom.
"""

OVERVIEW = r"""
**Sentences.** Mean Pearson $r$ between predicted and measured response to the test story, over a
region's valid targets, at the last layer; the bracket is the 95 % interval of the paired difference
(the same test rows, or the same subjects, for both models). A difference is called one only where
that interval does not hold 0. Each interval is of one region, not corrected for their number. The
regions are the same whatever the numbers are.

**Best layer**, of one model: the layer with the highest mean $r$. The best of several noisy layers
looks a little better than it is.

**Curves**: A solid, B dashed; the grey dash at the right edge is the noise ceiling.

**Significant targets**: targets with a false discovery rate $q \le 0.05$
(Benjamini & Hochberg 1995) at the layer that has most of them, and in any layer, where the best of
all layers was tested as such.

**Stage summary**: the score-weighted depth
$\sum_l \frac{l}{L} \max(s_l, 0) \big/ \sum_l \max(s_l, 0)$ of the layers $l = 0 \dots L$ with
scores $s_l$; the preferred layer, which has the highest score; and the late-layer drop, the score
there minus that at the last layer.
"""

STORY = r"""
**Measured** is the mean response to the test story over its presentations, $z$-scored over a
recording; **predicted** is what ridge regression, fitted to the training stories alone, says of the
same rows from the features of one layer; the **residual** is measured minus predicted. All are
coloured red above the mean and blue below it. Predictions hold only what the model explains, so
they are smaller: at first they have a range of their own, the same for both models, which stands
above the maps; *the same* gives all of them one. Grey: below the threshold, or not scored.

**Time.** A row stands at the moment at which it was acquired. The blood answers about five seconds
after what one hears: *as measured* shows it as it is, *moved by N s* shows with each sound the
response of N seconds later. Neither changes a number. Between two rows the surface is interpolated;
the numbers beside it are those of the last row.

**r** beside a course is that of the whole story. Of a region it is that of its mean course, which
is another number than the mean of its vertices' own $r$; both are named.
**r so far** is the correlation of all scored rows up to now, from ten rows on:
$r_t = \sum_{i \le t} (p_i - \bar p_t)(y_i - \bar y_t) \big/
\sqrt{\sum_{i \le t} (p_i - \bar p_t)^2 \sum_{i \le t} (y_i - \bar y_t)^2}$.
It wanders while rows are few and ends at $r$. Neighbouring rows are alike, so no stretch of it is a
test.

**Surface.** Maps travel as one byte per vertex and row, 254 steps between the ends of a series;
what is clicked is sent in full.
"""

SOUND_KEPT = (
    "What you bring is kept on the server's disk (in the store's folder heard) while its "
    "prediction is made, and deleted when that is done, fails or is cancelled; to be heard here it "
    "stays in the memory of your visit. The prediction stays in the store, with the name of the "
    "file."
)

SOUND = r"""
**What it is.** The weights of one layer, fitted to this subject's responses to the training
stories, applied to the features of your sound: a **prediction** for this subject, never a
measurement. It can be no better than the fit: the score of every target on the measured test story
stands beside it. Of sounds that are unlike those stories (music, noise, another language) it is an
extrapolation, and the caption says so where the features are far from all that was fitted.

**Loudness.** A sound is standardised by the mean and the spread of the training stories, not by
itself: a louder sound is louder to the weights, and two sounds can be compared.

**Time.** A row answers what was heard some rows before it, so predictions go on behind the sound's
end: there silence is played. What lies before and behind the sound counts as the training's mean.
*Moved by N s* shows with each moment the response of N seconds later.

**Contrast.** A minus B, row by row from the start of both: the sound and its **reversed** self,
which has its long-term spectrum and loudness; or **noise-vocoded**, noise in a few bands with the
sound's slow course (Shannon et al. 1995); another sound; or another model of the same subject, such
as the one before tuning. The range of a contrast's colours is its own, and stands above it.
"""

COMPARE = r"""
**Panels.** A and B (and a third model) on one colour scale, with one threshold; the last panel is
their **difference** $r_A - r_B$ at the layers that the two show, on a scale centred at 0. It is
made in your browser from the two maps, each of which is kept in 254 steps, and is grey where
neither model reaches the threshold. Of several subjects every map is the mean over them, target by
target.

**Layers.** One slider moves all panels; models of different depth are aligned by relative depth.
Tick **hold** to keep a panel at a layer of its own: then the difference is between two layers. The
figures below take the layers over when you press **Use these layers below**.

**Statistics.** Means of regions, A minus B. With three subjects or more interval and $p$ are of the
variance of subjects and of the story time that they share; the *adjusted* $p$ is Holm's over all
regions at these layers. Sign flips (their least value is $2^{1-n}$) and Wilcoxon's ranks are of the
subjects alone. With fewer subjects blocks of test rows are drawn again, the same ones for both
models: the interval then is about this stretch of story, not about other people. No $p$ is
corrected for the choice of layers: choose them before you look, or read the stage summary, which
uses all of them.

**Significant only** shows A, B and their difference where the difference of a vertex at one layer
is significant: a paired test within one subject, of the series without drift and autocorrelation.
A difference of two unequal layers is not tested.

**Scatter.** One point per target; below the dashed line A predicts better. Neighbouring targets are
not independent, so the share of targets is no test.

**Keys**: left and right arrow change the layer, space plays, F unfolds, V changes the views, D
shows the difference alone, S saves a view, 1 to 9 go back to saved ones. Drag to turn all surfaces
together, use the wheel to zoom.
"""

TUNING = r"""
**Brain-tuning** (arXiv 2410.09230): the audio of the last 5 TRs before a response row goes through
the model; the mean of its last layer over that time predicts the row with a linear head: one per
subject, one for all subjects of a common space, or one per subject behind a linear map to few
values. Gradients reach everything behind the convolutional front end, which is frozen, or
low-rank adapters alone.

**What is never seen.** The test story plays no part, and neither do targets whose noise ceiling is
too low. The ceiling is taken from repeats of training stories, else from the agreement with other
subjects on training stories. Where the data allow neither, the repeats of the test story choose
the targets; the record and this page then say so, because scores of these targets are selected.

**Start.** Each head begins as the ridge regression of the base model's features, so that the first
gradients already say something about the brain (epoch 0 is this start, before any tuning).

**Segments.** Encoding every row's own 5 TRs computes each second of audio five times. In segments
of 31 TRs it is computed once; every row is still predicted from its own 5 TRs, and features and
responses are centred within the segment. Attention reaches over 3 TRs then: another model of the
context than the published one, not an approximation of it.

**Validation r** is Pearson's correlation over the rows of the validation stories, averaged over all
targets that are tuned on; the epoch where it is highest is kept. It is measured with single runs,
so it is far below a score on a repeated test story. The training loss falls for a control as well:
only held-out stories tell tuning from memorising.

**Controls** have the same budget and one thing changed. A gain that a control shows too is not
about the brain. With a number of *steps* model and control have exactly the same; an early stop
gives a shuffled control mostly fewer.

**Adapters.** $|B|$, the norm of what low-rank adapters add, is 0 before training. It is told block
by block under a tuned model: a block at 0 learned nothing.
"""

PROBES = r"""
**A probe** is a linear map from one layer to one task. The units (a frame of 20 ms every 0.1 s, a
phone, a word, an utterance) are averaged over their own time span; features are standardised on
the training part; ridge regression on one-hot classes (or on the values) has its penalty chosen on
a validation part and is scored **once** on the test part.

**Sides.** No recording is on two sides and, where the labels name several speakers, no speaker is.
For semantic tasks words are kept apart as well: the words of the test part were never learnt from,
so a probe cannot look a category up. The words fall into five folds, each tested once; the score is
their mean.

**Mean over models**: the mean of their scores, and the standard error over models: how much models
differ, such as those tuned to several subjects, not how sure one score is.

**Score.** $R^2$, weighted by variance, for values; accuracy or balanced accuracy (mean share of
right units over the classes) for classes, or macro-F1 where it was asked for; macro-F1 for sets of
labels. **Chance**: one and the same answer for all units, and
the mean of probes that learnt from shuffled labels, penalty and all. **Share above chance**:
$(s - c)/(1 - c)$ with the score $s$ and the higher of the two chance levels $c$. **Selectivity** is
the score minus that of shuffled labels.

**Controls.** *untrained*: the same form of model with random weights. *acoustic:logmel*: the
sound itself. What they reach needs no training; a layer tells something of its own where it is
above them.

**Intervals** (band): 95 %, over test speakers where none of them is learnt from, else over test
recordings; drawn again with replacement where there are eight or more, Student's for three to
seven, none for fewer. All layers draw the same ones. The line under a figure says which.

**A minus B.** Both models were asked the same of the same units; their bootstrap samples draw the
same pieces, so the interval is that of the paired difference. Among many cells some leave 0 by
chance.

**Depth.** The score-weighted depth of a task with the shares above chance $s_l$ of the layers
$l = 0 \dots L$ is $\sum_l \frac{l}{L} \max(s_l, 0) \big/ \sum_l \max(s_l, 0)$. The
**hierarchy index** is the Spearman correlation, over tasks, of their stage (acoustic, phonetic,
lexical, semantic) with that depth. Curves that are nearly flat have a depth near 0.5 whatever the
model does.

Features come from *chunk* windows unless the model's name says otherwise: a frame may have seen up
to 2 s of audio behind its own time.
"""


def plain(text: str) -> str:
    """Write names that people gave so that no sign of them is taken for markup, but for code."""
    parts = _CODE.split(text)
    return "".join(
        part if place % 2 else _MARKUP.sub(r"\\\g<0>", part) for place, part in enumerate(parts)
    )


def probe_tasks() -> str:
    """List every task with what it asks, as the registry has them."""
    lines = [
        f"- **{task.title}** ({task.stage}): {task.description}" for task in PROBE_TASKS.values()
    ]
    return "\n".join(["**Tasks**", "", *lines])


def no_sounds(reason: str) -> str:
    """Say to whoever may only look that sounds are not predicted for them, and why."""
    return (
        f"Predictions for sounds are computed when they are asked for, and {reason}. The test "
        "story, measured and predicted, plays for everybody."
    )


def no_surface(space: str) -> str:
    """Say that targets of a space have no surface, and what gives them one."""
    return (
        f"These responses are in the space {space!r}, which has no surface here: there are tables "
        "of regions and no map. A mapper, a pycortex transform, surfaces, parcels, or a mask of a "
        "standard space, named in the manifest, give them one: ask for the result again, nothing "
        "is computed twice."
    )


MESH_HELP = (
    "The surface that is drawn. Large meshes are thinned for the browser: the vertices that are "
    "drawn have their own values, and a click gives the exact one."
)

MIX_HELP = (
    "One more panel: every model is an ink, and where several predict well the inks add up. The "
    "key below the surfaces says which is whose; M shows it alone."
)

NO_SCORE = (
    "This vertex has no score: its responses are constant or missing, or its noise ceiling is too "
    "low to divide by."
)

REGION_SETS = """
A **region set** divides the cortex into named regions; means, intervals, outlines and downloads of
all pages are of the chosen one. The choice is in the address, and no result depends on it: region
means and their intervals are made from a result's stored predictions when they are first looked
at, and kept.

- **Discs** around published coordinates need no file and are no parcels. They are taken where
  nothing else is given.
- **Label files** (.annot, .label.gii) are yours: `braindash regions add NAME LEFT RIGHT` takes them
  over, for a set of this list or as one of your own.
- `braindash regions fetch NAME` fetches the files of some sets, after you have read and accepted
  their licence.
- **own** is what a manifest's `[regions]` describe: labels and localiser masks of every subject,
  and groups of labels.

Beside every mean stands its **coverage**: the share of the region's targets that are in it.
"""

NO_STUDY = """
A study names data, subjects, models with their bases and controls, and the comparisons wanted, in
one small TOML file. It computes what is not stored yet, and draws the figures of all of it.
`braindash study run study.toml` does the same; the embedded study (`braindash study run demo`) is
of simulated data.
"""

STUDIES = r"""
**Layer curves**: mean over subjects of each region's score, by relative depth (layer / last layer),
so that models of other depths can be compared. Bands are 95 % intervals as on the page Layers, or
mean $\pm$ standard error over subjects.

**Regions**: a region's score is the mean over chosen layers, never chosen by the score. Dots are
subjects, the dashed line the noise ceiling. Brackets pair models by subject: $p$ of Wilcoxon's
signed ranks, of sign flips, and of the variance of subjects and story time, two-sided, adjusted
after Holm over all comparisons and regions shown. The first two are of the subjects alone, who
share one test story; with $n$ subjects neither can be below $2^{1-n}$. *Percent over base* is
$100\,(\bar a - \bar b)/\bar b$ of subject means with the interval of a ratio of means, and none
where $\bar b < .02$.

**Low level**: percent of r that is gone when low-level features were regressed out of the model's.

**Probes**: every task by layer; models of one group, such as those tuned on one subject each, as
mean $\pm$ standard error over these models. **Tuning curves**: models that the study tunes, against
hours, rank, loss, head or steps; each subject's score is that of the model tuned on it, and the
dashed line is the same subjects' mean before tuning.

**Against probing, against size**: one point per model; the probing score is the share above chance
over the same layers.

**Transfer**: models that were tuned on one subject each, scored on every subject.

**Similarity of layers**: debiased linear CKA of the stored features, z-scored within each story as
the regression sees them: 1 where two layers hold the same up to a rotation and a scale, 0 on
average where they have nothing in common. **Drift** is 1 - CKA of each layer before and after
tuning. **Dimension**: intrinsic dimension by the two nearest neighbours (Facco et al. 2017),
without neighbours in time, and the participation ratio of the covariance.
"""
