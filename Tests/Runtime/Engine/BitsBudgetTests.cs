using System.Globalization;
using System.Text.RegularExpressions;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Artifacts;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>Budgets that choose bits, alone and beside ranks.</summary>
public sealed class BitsBudgetTests : IDisposable
{
    private static readonly int[] Widths = [2, 3, 4, 5, 6, 7, 8];

    private readonly TwoLayersProject project = new();

    public static TheoryData<string> Steps => ["quantize", "gptq", "awq", "hqq", "normalFloat", "squeezeLlm", "decoupleQ", "flexRound", "powerQuant", "nupes"];

    public void Dispose() => project.Dispose();

    [Theory]
    [MemberData(nameof(Steps))]
    public void Mixed_bits_meet_the_budget_and_lose_no_more_than_the_best_bits_for_all_that_fit(string name)
    {
        var widths = Widths.Select(bits => Execute(FixedTo(name, bits))).ToList();
        foreach (long budget in new[] { (widths[0].Bytes.After + widths[1].Bytes.After) / 2, widths[2].Bytes.After, widths[3].Bytes.After + 1 })
        {
            var manifest = Execute(Open(name), $"{budget} B");
            manifest.Bytes.After.ShouldBeLessThanOrEqualTo(budget);
            manifest.Bytes.After.ShouldBe(manifest.Allocation!.PlannedBytes);
            manifest.Allocation.Layers.Select(layer => layer.Path).ShouldBe(["first", "second", "twin"]);
            manifest.Layers.SelectMany(layer => layer.Steps).ShouldBe(manifest.Allocation.Layers.Select(layer => layer.Choice));
            double gained = Gained(manifest);
            manifest.Allocation.MeasuredDistortion!.Value.ShouldBe(gained, 1e-6);
            gained.ShouldBeLessThanOrEqualTo(widths.Where(width => width.Bytes.After <= budget).Min(Gained) + 1e-6);
        }
    }

    [Fact]
    public void Layers_that_matter_more_get_more_bits()
    {
        var three = Execute(FixedTo("quantize", 3));
        var manifest = Execute(Open("quantize"), $"{(three.Bytes.After + Execute(FixedTo("quantize", 4)).Bytes.After) / 2} B");
        string locked = File.ReadAllText(project.In("small.recipe.lock.yaml"));
        manifest.Allocation!.Layers.Select(layer => layer.Choice).Distinct().Count().ShouldBeGreaterThan(1);
        manifest.Allocation.Layers.ShouldAllBe(layer => locked.Contains($"steps: '{layer.Choice}'") && Regex.IsMatch(layer.Choice, @"^quantize \{ bits: [2-8],"));
        Gained(manifest).ShouldBeLessThan(Gained(three));
    }

    [Theory]
    [InlineData(AllocationMethod.Predicted)]
    [InlineData(AllocationMethod.Measured)]
    [InlineData(AllocationMethod.MostSensitiveFirst)]
    [InlineData(AllocationMethod.EqualLoss)]
    [InlineData(AllocationMethod.Uniform)]
    [InlineData(AllocationMethod.Farms)]
    public void Ranks_and_bits_share_one_budget_whatever_the_method(AllocationMethod method)
    {
        foreach (var steps in new Step[][] { [new Decompose { Orientation = Orientation.Whitened }, new Quantize { GroupSize = 8 }], [new Decompose(), new Gptq { GroupSize = 8 }], [new Decompose { Rank = 4 }, new Hqq { GroupSize = 8 }] })
        {
            var generous = Execute("1 MB", method, steps);
            generous.Allocation!.Layers.ShouldAllBe(layer => Regex.IsMatch(layer.Choice, "bits: [2-8],"));
            long smallest = generous.Allocation.SmallestBytes;
            foreach (long budget in new[] { smallest, smallest + 150, smallest + 400, smallest + 1000 })
            {
                var manifest = Execute($"{budget} B", method, steps);
                manifest.Bytes.After.ShouldBeLessThanOrEqualTo(budget);
                manifest.Bytes.After.ShouldBe(manifest.Allocation!.PlannedBytes);
            }
        }
    }

    [Fact]
    public void Ranks_and_bits_lose_no_more_than_equal_shares_with_the_best_bits()
    {
        Step[] open = [new Decompose { Orientation = Orientation.Whitened }, new Quantize { GroupSize = 8 }];
        long budget = Execute("1 MB", AllocationMethod.Uniform, [open[0], new Quantize { Bits = 4, GroupSize = 8 }]).Allocation!.SmallestBytes + 300;
        var mixed = Execute($"{budget} B", AllocationMethod.Predicted, open);
        foreach (int bits in Widths)
        {
            Step[] steps = [open[0], new Quantize { Bits = bits, GroupSize = 8 }];
            if (Execute("1 MB", AllocationMethod.Uniform, steps).Allocation!.SmallestBytes <= budget)
            {
                Gained(mixed).ShouldBeLessThanOrEqualTo(Gained(Execute($"{budget} B", AllocationMethod.Uniform, steps)) + 1e-6, $"{bits} bits");
            }
        }
    }

    [Fact]
    public void What_bits_cost_is_measured_and_ranks_and_bits_together_are_near_it()
    {
        foreach (var (steps, tolerance) in new (Step[], double)[] { ([new Quantize { GroupSize = 8 }], 1e-4), ([new Decompose(), new Quantize { GroupSize = 8 }], 0.05) })
        {
            var manifest = Execute("6 bpw", AllocationMethod.Predicted, steps);
            foreach (var (layer, record) in manifest.Allocation!.Layers.Zip(manifest.Layers))
            {
                double predicted = double.Parse(Regex.Match(layer.Reason, "([0-9.]+) of the energy").Groups[1].Value, CultureInfo.InvariantCulture);
                predicted.ShouldBe(Math.Pow(record.Facts["relativeError"], 2), tolerance, layer.Choice);
            }
        }
    }

    [Fact]
    public void A_second_run_gives_the_same_bytes_and_a_cache_keeps_only_what_the_plan_needs()
    {
        var pipeline = new TwoLayersPipeline(Recipe("5 bpw", AllocationMethod.Predicted, [new Decompose { Orientation = Orientation.Whitened }, new Quantize { GroupSize = 8 }]));
        var first = project.NewRun("one", "cache1");
        first.Execute(pipeline, cores: 1);
        long before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var second = project.NewRun("two", "cache2");
        second.Execute(pipeline, cores: 3);
        TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBeLessThanOrEqualTo(before);
        second.Bytes(ArtifactFiles.Weights).ShouldBe(first.Bytes(ArtifactFiles.Weights));
        second.Bytes(ArtifactFiles.Manifest).ShouldBe(first.Bytes(ArtifactFiles.Manifest));
        Directory.EnumerateFileSystemEntries(project.In("cache1/trials")).ShouldBeEmpty();
        Directory.GetFiles(project.In("cache1/cas"), "*", SearchOption.AllDirectories).Count(IsSolved).ShouldBe(3);

        var again = project.NewRun("one", "cache1");
        again.Execute(pipeline);
        again.SolvedLayers.ShouldBeEmpty();
        Directory.GetFiles(project.In("cache1/cas"), "*", SearchOption.AllDirectories).Count(IsSolved).ShouldBe(3);
    }

    [Fact]
    public void Trials_that_a_killed_run_left_are_deleted_by_the_next()
    {
        Directory.CreateDirectory(project.In("cache/trials/left/cas"));
        File.WriteAllText(project.In("cache/trials/left.lock"), "");
        Execute(Open("quantize"), "4.5 bpw");
        Directory.EnumerateFileSystemEntries(project.In("cache/trials")).ShouldBeEmpty();
    }

    [Fact]
    public void Bits_of_their_own_count_and_are_left_alone()
    {
        var recipe = TwoLayersProject.Recipe(("first", [new Quantize { Bits = 4, GroupSize = 8 }]), ("{second,twin}", [new Quantize { GroupSize = 8 }])) with { Budget = Parse("9 bpw") };
        var manifest = project.NewRun().Execute(new TwoLayersPipeline(recipe)).Manifest;
        manifest.Layers[0].Steps.ShouldBe([new Quantize { Bits = 4, GroupSize = 8 }.ToString()]);
        manifest.Allocation!.Layers.Select(layer => layer.Path).ShouldBe(["second", "twin"]);
        manifest.Bytes.After.ShouldBeLessThanOrEqualTo(manifest.Allocation.BudgetBytes);
    }

    [Fact]
    public void Steps_that_train_are_chosen_by_what_they_start_from()
    {
        var manifest = Execute("5 bpw", AllocationMethod.Predicted, [new FlexRound { Granularity = Granularity.Group, GroupSize = 8, Iterations = 8 }]);
        manifest.Bytes.After.ShouldBeLessThanOrEqualTo(manifest.Allocation!.BudgetBytes);
        var start = Execute("5 bpw", AllocationMethod.Predicted, [new FlexRound { Granularity = Granularity.Group, GroupSize = 8, Iterations = 0 }]);
        manifest.Allocation.Layers.Select(layer => layer.Chosen!.Name).ShouldBe(start.Allocation!.Layers.Select(layer => layer.Chosen!.Name));
        manifest.Layers.ShouldAllBe(layer => layer.Facts.ContainsKey("relativeError"));
    }

    [Fact]
    public void A_budget_out_of_reach_names_the_smallest_which_all_layers_meet_with_the_fewest_bits()
    {
        var failure = Should.Throw<PipelineException>(() => Execute(Open("quantize"), "100 B"));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BudgetNotAttainable);
        long smallest = long.Parse(Regex.Match(failure.Message, "smallest is ([0-9]+)").Groups[1].Value, CultureInfo.InvariantCulture);
        var manifest = Execute(Open("quantize"), $"{smallest} B");
        manifest.Bytes.After.ShouldBe(smallest);
        manifest.Allocation!.Layers.ShouldAllBe(layer => layer.Choice.StartsWith("quantize { bits: 2,", StringComparison.Ordinal));
    }

    [Fact]
    public void Without_a_budget_the_usual_bits_are_taken()
    {
        Execute(Open("quantize")).Layers.ShouldAllBe(layer => layer.Steps.Single().StartsWith("quantize { bits: 4,", StringComparison.Ordinal));
        Execute(Open("decoupleQ")).Layers.ShouldAllBe(layer => layer.Steps.Single().Contains("bits: 2,", StringComparison.Ordinal));
    }

    private static bool IsSolved(string file)
    {
        try
        {
            using var content = SafetensorsFile.Open(file);
            return content.Metadata.ContainsKey("solution");
        }
        catch (PipelineException)
        {
            return false;
        }
    }

    private static double Gained(Manifest manifest) => manifest.Quality!.After - manifest.Quality.Before;

    private Manifest Execute(Step step, string? budget = null) => Execute(budget, AllocationMethod.Predicted, [step]);

    private Manifest Execute(string? budget, AllocationMethod method, Step[] steps) => project.NewRun(updateLock: true).Execute(new TwoLayersPipeline(Recipe(budget, method, steps))).Manifest;

    private static FewBits FixedTo(string name, int bits)
    {
        var step = Open(name);
        step.Bits = bits;
        return step;
    }

    /// <summary>A step without bits on small groups; those that train only make their start.</summary>
    private static FewBits Open(string name)
    {
        var step = (FewBits)StepCatalog.Find(name)!.Create();
        switch (step)
        {
            case FlexRound flex:
                flex.Iterations = 0;
                break;
            case Nupes nupes:
                nupes.Iterations = 0;
                break;
            case NormalFloat normal:
                normal.BlockSize = 16;
                break;
            case Quantize { Granularity: Granularity.Group } grid:
                grid.GroupSize = 8;
                break;
            default:
                break;
        }

        return step;
    }

    /// <summary>All samples calibrate, and quality is the loss on the same ones.</summary>
    private static Recipe Recipe(string? budget, AllocationMethod method, Step[] steps)
    {
        var recipe = TwoLayersProject.Recipe(("**", steps));
        return recipe with
        {
            Calibrate = recipe.Calibrate! with { Samples = 0 },
            Evaluate = recipe.Evaluate! with { Metric = Metric.Loss },
            Budget = budget is null ? null : Parse(budget),
            Allocate = method,
        };
    }

    private static Budget Parse(string text) => Budget.Parse(text, TwoLayersProject.Span(7), out _).ShouldNotBeNull();
}
