namespace PipelineDsl.Diagnostics;

/// <summary>The stable codes of everything that can be wrong; never reused or renumbered.</summary>
public static class DiagnosticIds
{
    // PDSL0xxx: the C# side.

    /// <summary>A step stands on a member that has no weight it can work on.</summary>
    public const string NotCompressible = "PDSL0001";

    /// <summary>A model class that the pipeline cannot create.</summary>
    public const string ModelNotCreatable = "PDSL0002";

    /// <summary>A step attribute on a class that no recipe reaches.</summary>
    public const string StepWithoutRecipe = "PDSL0003";

    /// <summary>A module of a model that is run by <c>forward</c>, past its hooks.</summary>
    public const string ForwardPassesHooks = "PDSL0004";

    // PDSL1xxx: what a recipe says, in attributes or YAML.

    /// <summary>Text that is not YAML, or YAML of the wrong shape.</summary>
    public const string BrokenYaml = "PDSL1001";

    /// <summary>A key that the language does not have.</summary>
    public const string UnknownKey = "PDSL1002";

    /// <summary>A method that the language does not have.</summary>
    public const string UnknownMethod = "PDSL1003";

    /// <summary>A value of the wrong type or outside its range.</summary>
    public const string InvalidValue = "PDSL1004";

    /// <summary>A key or setting that must be there.</summary>
    public const string MissingSetting = "PDSL1005";

    /// <summary>The same key twice.</summary>
    public const string DuplicateKey = "PDSL1006";

    /// <summary>Settings of one step that exclude each other.</summary>
    public const string ContradictorySettings = "PDSL1007";

    /// <summary>Steps of one layer that exclude each other.</summary>
    public const string ContradictorySteps = "PDSL1008";

    /// <summary>A rank above the smaller side of the weight.</summary>
    public const string RankTooLarge = "PDSL1009";

    /// <summary>A rank whose factors are no smaller than the weight.</summary>
    public const string RankSavesNothing = "PDSL1010";

    /// <summary>A group longer than a row.</summary>
    public const string GroupTooLarge = "PDSL1011";

    /// <summary>A pattern that matches no layer.</summary>
    public const string PatternMatchesNothing = "PDSL1012";

    /// <summary>A model class that is not in the project.</summary>
    public const string UnknownModel = "PDSL1013";

    /// <summary>Two recipes of one name.</summary>
    public const string DuplicateRecipe = "PDSL1014";

    /// <summary>A file that a recipe names and that is not there.</summary>
    public const string MissingFile = "PDSL1015";

    /// <summary>A recipe to extend that does not exist, or a circle of them.</summary>
    public const string UnknownBaseRecipe = "PDSL1016";

    /// <summary>A layer whose steps another recipe overrides.</summary>
    public const string OverriddenLayer = "PDSL1017";

    /// <summary>A path that leaves the project.</summary>
    public const string PathOutsideProject = "PDSL1018";

    /// <summary>The YAML library that was loaded beside the compiler does not fit.</summary>
    public const string YamlLibraryMismatch = "PDSL1019";

    /// <summary>An entry, a step, a setting or data without effect.</summary>
    public const string WithoutEffect = "PDSL1020";

    /// <summary>A step or a setting that is deprecated.</summary>
    public const string Deprecated = "PDSL1021";

    // PDSL2xxx: the build around the pipeline.

    /// <summary>The host or its files are missing.</summary>
    public const string HostNotFound = "PDSL2001";

    /// <summary>The host stopped without saying why.</summary>
    public const string HostCrashed = "PDSL2002";

    /// <summary>Publishing without artifacts.</summary>
    public const string ArtifactsNotBuilt = "PDSL2003";

    /// <summary>The system's C++ library is too old and no compiler is there to bridge the gap.</summary>
    public const string OldSystemLibrary = "PDSL2004";

    /// <summary>An unknown value of a build property.</summary>
    public const string InvalidBuildProperty = "PDSL2005";

    /// <summary>Something that a command needs and does not find.</summary>
    public const string CommandNotPossible = "PDSL2006";

    /// <summary>A file that holds a recipe and is none to the build.</summary>
    public const string UnlistedRecipe = "PDSL2007";

    // PDSL3xxx: running the pipeline.

    /// <summary>The native tensor library cannot be loaded.</summary>
    public const string NativeLibraryNotLoaded = "PDSL3001";

    /// <summary>A weights file that is damaged or not what it says.</summary>
    public const string BrokenWeights = "PDSL3002";

    /// <summary>Weights whose names or shapes are not the model's.</summary>
    public const string WeightsDoNotFitModel = "PDSL3003";

    /// <summary>A tokenizer that cannot be read or does not fit the model.</summary>
    public const string BrokenTokenizer = "PDSL3004";

    /// <summary>Calibration or evaluation data that cannot be used.</summary>
    public const string BrokenData = "PDSL3005";

    /// <summary>A layer that calibration never reached.</summary>
    public const string LayerNotReached = "PDSL3006";

    /// <summary>A layer whose solver failed.</summary>
    public const string LayerFailed = "PDSL3007";

    /// <summary>Quality beyond the limit of the gate.</summary>
    public const string GateFailed = "PDSL3008";

    /// <summary>The plan differs from its lock file.</summary>
    public const string PlanDiffersFromLock = "PDSL3009";

    /// <summary>An artifact that is damaged, made for other weights or another model, or too large for the budget.</summary>
    public const string ArtifactRefused = "PDSL3010";

    /// <summary>The user's own code failed while the pipeline called it.</summary>
    public const string ModelFailed = "PDSL3011";

    /// <summary>A file that cannot be read or written.</summary>
    public const string FileFailed = "PDSL3012";

    /// <summary>A failure of the pipeline itself.</summary>
    public const string InternalError = "PDSL3013";

    /// <summary>A solver changed a request to what the numbers allow.</summary>
    public const string SolverAdjusted = "PDSL3014";

    /// <summary>A budget that no choice meets.</summary>
    public const string BudgetNotAttainable = "PDSL3015";

    /// <summary>Something that an export format cannot hold as it is.</summary>
    public const string NotExportable = "PDSL3016";

    /// <summary>Training whose loss or gradients are no numbers any more.</summary>
    public const string TrainingDiverged = "PDSL3017";

    /// <summary>Training examples that were left out or cut.</summary>
    public const string ExamplesAdjusted = "PDSL3018";

    /// <summary>An adapter that belongs to other weights, or cannot be used as asked.</summary>
    public const string AdapterRefused = "PDSL3019";

    /// <summary>A cache server that cannot be used.</summary>
    public const string CacheServerFailed = "PDSL3020";

    /// <summary>A cache entry that is not what its digest says.</summary>
    public const string DamagedCacheEntry = "PDSL3021";

    /// <summary>A memory limit that cannot be kept.</summary>
    public const string MemoryLimitNotAttainable = "PDSL3022";
}
