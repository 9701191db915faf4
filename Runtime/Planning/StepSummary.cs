namespace PipelineDsl.Runtime.Planning;

/// <summary>Writes steps with the settings that tell them apart: what is not the usual value, and always rank, bits and group.</summary>
internal static class StepSummary
{
    private const string Unknown = "?";

    /// <summary>A chain of steps in one line.</summary>
    /// <param name="steps">The resolved steps.</param>
    /// <param name="isOpen">Whether a budget is still to choose what they leave open.</param>
    public static string Of(IReadOnlyList<Step> steps, bool isOpen) => steps.Count == 0 ? "keep" : string.Join(" | ", steps.Select(step => Of(step, isOpen && step.IsOpen)));

    private static string Of(Step step, bool isOpen)
    {
        var descriptor = StepCatalog.Of(step);
        var settings = descriptor.Settings.Where(setting => IsShown(step, setting)).Select(setting => $"{setting.Name}: {(isOpen && IsChosen(setting) ? Unknown : SettingDescriptor.Format(setting.Get(step)))}").ToList();
        return settings.Count == 0 ? descriptor.Name : $"{descriptor.Name} {{ {string.Join(", ", settings)} }}";
    }

    private static bool IsShown(Step step, SettingDescriptor setting) => setting.PropertyName == nameof(Quantize.GroupSize) && step is Quantize quantize
        ? quantize.Granularity == Granularity.Group
        : IsChosen(setting) || !setting.Default.Equals(setting.Get(step));

    private static bool IsChosen(SettingDescriptor setting) => setting.PropertyName is nameof(Decompose.Rank) or nameof(FewBits.Bits);
}
