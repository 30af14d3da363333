"""What the columns of tables are, with their units: said once, for every file that holds one."""

from collections.abc import Iterable, Mapping

_R = "correlation, -1 to 1"
_SHARE = "share, 0 to 1"
_DEPTH = "relative depth: 0 first layer, 1 last one"
_COUNT = "count"
_P = "probability"

COLUMNS: Mapping[str, tuple[str, str]] = {
    "layer": ("Layer; 0 is the input of the first transformer block", "index"),
    "layer_a": ("Layer of model A", "index"),
    "layer_b": ("Layer of model B", "index"),
    "region": ("Region of the cortex", ""),
    "region_set": ("Set that the regions are of", ""),
    "hemisphere": ("Side that means are of", ""),
    "r": ("Pearson r of predicted and measured response on the test story, mean of targets", _R),
    "r_over_ceiling": ("r divided by the noise ceiling where that exceeds its threshold", "ratio"),
    "ceiling": ("Noise ceiling, mean of the region's targets", _R),
    "low": ("Lower end of the 95 % interval", "as the estimate"),
    "high": ("Upper end of the 95 % interval", "as the estimate"),
    "n_targets": ("Targets of the region", _COUNT),
    "n_valid": ("Targets with a score", _COUNT),
    "n_above_threshold": ("Targets whose noise ceiling exceeds its threshold", _COUNT),
    "n_subjects": ("Subjects", _COUNT),
    "coverage": ("Share of the region's targets that have a score", _SHARE),
    "a": ("Score of model A", "as the score"),
    "b": ("Score of model B", "as the score"),
    "difference": ("A minus B", "as the score"),
    "p": ("p value", _P),
    "p_holm": ("p value, adjusted by Holm's method", _P),
    "p_signs": ("p value of sign flips over subjects", _P),
    "p_ranks": ("p value of Wilcoxon's signed ranks over subjects", _P),
    "p_boot": ("p value of a bootstrap-t over subjects", _P),
    "quantity": ("What is estimated of a layer curve", ""),
    "name": ("Region or task that the estimate is of", ""),
    "estimate": ("The estimate", "weighted_depth, preferred_depth: relative depth; else a score"),
    "share": ("Share of the score that low-level features explain", _SHARE),
    "null": ("What stands in for the model", ""),
    "null_r": ("Pearson r of the null", _R),
    "task": ("Probing task", ""),
    "stage": ("Stage of speech processing of the task", ""),
    "metric": ("What the score is", ""),
    "score": ("Score of the probe on the test part, as its metric says", "as the metric"),
    "chance_majority": ("Score of one and the same answer", "as the metric"),
    "chance_shuffled": ("Score after learning from shuffled labels", "as the metric"),
    "selectivity": ("Score minus that with shuffled labels", "as the metric"),
    "above_chance": ("(score - chance) / (1 - chance)", _SHARE),
    "epoch": ("Epoch; 0 is before tuning", "index"),
    "loss": ("Training loss", "as the loss"),
    "validation_r": ("Pearson r on the validation stories, mean of the tuned targets", _R),
    "seconds": ("Time the epoch took", "s"),
    "model": ("Speech model", ""),
    "subject": ("Subject, or how many the mean is of", ""),
    "simulated": ("Whether a generator made the responses", "true or false"),
    "interval": ("What the intervals are of", ""),
    "interval_of": ("Column that the interval belongs to", ""),
    "ceiling_name": ("Which noise ceiling", ""),
    "ceiling_bias": ("Which targets the ceiling chose, and what that does to a perfect model", ""),
    "source": ("Where the numbers come from", ""),
    "time": ("Time since the sound began", "s"),
    "response": ("Measured or predicted response", "standard deviations over a recording"),
    "panel": ("Panel of the figure", ""),
    "series": ("Line, band or row of the figure", ""),
    "part": ("line, bar, band, cell or reference", ""),
    "x": ("Horizontal place, in the unit of x_title", ""),
    "y": ("Vertical place, in the unit of y_title", ""),
    "value": ("Value of a cell, in the unit of value_title", ""),
    "depth": ("Place along the layers", _DEPTH),
    "study": ("Study that the result belongs to", ""),
    "preset": ("Protocol, as of --preset", ""),
    "role": ("What the model is in its study", ""),
    "model_files": ("Name of the model's files", ""),
    "key": ("Key of the result", ""),
    "model_a": ("Model A, as its study calls it", ""),
    "model_b": ("Model B, which is subtracted or compared", ""),
    "alignment": ("Score of the region, mean of targets, as measure says", "as measure"),
    "measure": ("r, or r_over_ceiling: divided by the noise ceiling", ""),
    "se": ("Standard error of the mean over subjects, or over models", "as measure or metric"),
    "mean": ("Mean over models", "as the metric"),
    "n_models": ("Models of the mean", _COUNT),
    "models": ("Models that the mean is of", ""),
    "base": ("Model that the model was tuned from, or is a control of", ""),
    "percent": ("Score over that of the base, minus 1; none below a base of .02", "percent"),
    "percent_low": ("Lower end of the 95 % interval of percent", "percent"),
    "percent_high": ("Upper end of the 95 % interval of percent", "percent"),
    "p_signs_holm": ("p value of sign flips, adjusted by Holm's method", _P),
    "p_ranks_holm": ("p value of Wilcoxon's signed ranks, adjusted by Holm's method", _P),
    "space": ("Feature space that was taken out of the model's features", ""),
    "residual_r": ("Pearson r without these features", _R),
    "drop": ("Share of r that is gone without these features", "percent"),
    "drop_low": ("Lower end of the 95 % interval of drop", "percent"),
    "drop_high": ("Upper end of the 95 % interval of drop", "percent"),
    "probe": ("Share above chance of the probing task, over the same layers", _SHARE),
    "parameters": ("Weights of the model", _COUNT),
    "hours": ("Hours of responses in tuning, all subjects together", "h"),
    "rank": ("Rank of the adapters", _COUNT),
    "tuned_on": ("Subject that the model was tuned on", ""),
    "scored_on": ("Subject whose responses are predicted", ""),
    "gain": ("Score minus that of the base, of the same subject", "as measure"),
    "cka": ("Debiased linear CKA of the two layers", "at most 1; 0: nothing in common"),
    "two_nn": ("Intrinsic dimension by the two nearest neighbours", "dimensions"),
    "participation": ("Participation ratio of the covariance", "dimensions"),
    "drift": ("1 - debiased CKA of the layer before and after", "0: the same"),
    "distance": ("Length of the change over that of the layer before", "ratio"),
    "n_rows": ("Rows of the stories that are compared", _COUNT),
    "sweep": ("Name of the study's sweep", ""),
    "setting": ("Setting that the sweep varies", ""),
    "setting_value": ("Its value, as JSON", ""),
    "setting_number": ("The value, where it is a number", "as the setting"),
    "draw": ("Which order of the training stories the share is of", "index"),
    "n_draws": ("Orders of the training stories that the mean is over", _COUNT),
    "of_draws": ("Standard deviation of the subjects' mean over draws", "as measure"),
    "training_stories": ("Stories that the fit saw, mean over draws", _COUNT),
    "training_rows": ("Rows of these stories", _COUNT),
    "spaces": ("Low-level feature spaces beside the model, joined by +", ""),
    "explained_by": ("Feature spaces that explain it, and no other, joined by &", ""),
    "n_spaces": ("Feature spaces that explain it", _COUNT),
    "r2": ("Explained variance on the test story, mean of targets", "share, may be negative"),
    "map": ("Model, or pair of models, that the map is of", ""),
    "of_subjects": ("Mean over subjects, over the chosen layers", "as the score"),
    "n_significant": ("Targets with p of at most .05 over all targets", _COUNT),
    "t": ("Student's t of the subjects", "t"),
    "largest_t": ("Largest t of the region's targets", "t"),
    "least_p": ("Least p of the region's targets, over all targets", _P),
    "in_clusters": ("Targets in clusters with true discoveries", _SHARE),
    "true_discoveries": ("Least share of the target's cluster with an effect", _SHARE),
    "prevalence": ("Subjects in whom the best layer is significant", _SHARE),
    "left": ("Score of the left hemisphere", "as measure"),
    "right": ("Score of the right hemisphere", "as measure"),
    "left_minus_right": ("Left minus right", "as measure"),
    "index": ("(left - right) / (left + right)", "-1 to 1"),
    "index_low": ("Lower end of the 95 % interval of the index", "-1 to 1"),
    "index_high": ("Upper end of the 95 % interval of the index", "-1 to 1"),
    "target": ("Number of the target: left hemisphere first", "index"),
}
"""What a column is, and its unit; of the columns that tables of results have."""


def described(names: Iterable[object]) -> dict[str, dict[str, str]]:
    """Describe columns as BIDS sidecars do.

    Parameters
    ----------
    names : iterable
        Of columns; one that is not known is left with its name alone.

    Returns
    -------
    dict of str to dict
        ``Description`` and, where there is one, ``Units``.
    """
    found = {}
    for name in map(str, names):
        what, unit = COLUMNS.get(name, ("", ""))
        told = {"Description": what} if what else {}
        found[name] = told | ({"Units": unit} if unit else {})
    return found
