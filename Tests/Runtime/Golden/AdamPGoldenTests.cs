using System.Globalization;
using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Tests.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>AdamP and SGDP against the official code.</summary>
[Trait("Category", "Golden")]
public sealed class AdamPGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("adamp");

    [Fact]
    public void AdamP_goes_the_official_way_and_takes_the_official_branches()
    {
        using var scope = NewDisposeScope();
        foreach (string key in Keys("adamp"))
        {
            var rule = AdamP(key.EndsWith(".nesterov", StringComparison.Ordinal));
            Follow(key, rule, rule.Delta, rule.Epsilon, "w", "branch");
        }
    }

    [Fact]
    public void SgdP_goes_the_official_way_where_it_projects_its_momentum()
    {
        using var scope = NewDisposeScope();
        foreach (string key in Keys("sgdp"))
        {
            var rule = SgdP(key.EndsWith(".nesterov", StringComparison.Ordinal)) with { Parity = Parity.Official };
            Follow(key, rule, rule.Delta, rule.Epsilon, "w", "branch");
        }
    }

    [Fact]
    public void SgdP_with_an_untouched_momentum_goes_the_reference_s_way()
    {
        using var scope = NewDisposeScope();
        var clean = Keys("sgdp").Where(key => golden.Has($"out.{key}.w_clean")).ToList();
        clean.ShouldNotBeEmpty();
        foreach (string key in clean)
        {
            var rule = SgdP(nesterov: false);
            Follow(key, rule, rule.Delta, rule.Epsilon, "w_clean", "branch_clean");
        }
    }

    private void Follow(string key, UpdateRule rule, double delta, double epsilon, string weights, string branches)
    {
        var (start, gradients) = (golden[$"in.{key}.w0"], golden[$"in.{key}.grad"]);
        var trajectory = Trajectory.Of(rule, start, gradients);
        trajectory.ShouldBeNear(golden[$"out.{key}.{weights}"], 1e-11);
        var before = cat([start.unsqueeze(0), trajectory.narrow(0, 0, trajectory.shape[0] - 1)], 0);
        long[] taken = [.. Enumerable.Range(0, (int)gradients.shape[0]).Select(step => (long)ScaleInvariance.Find(before[step], gradients[step], delta, epsilon))];
        taken.ShouldBe(golden[$"out.{key}.{branches}"].data<long>().ToArray(), key);
    }

    private IEnumerable<string> Keys(string rule) => golden.Names
        .Where(name => name.StartsWith("in.", StringComparison.Ordinal) && name.EndsWith(".w0", StringComparison.Ordinal) && name.Split('.')[2] == rule)
        .Select(name => name["in.".Length..^".w0".Length]);

    private AdamP AdamP(bool nesterov)
    {
        double[] betas = [.. golden.Setting("adamp.betas").Trim('(', ')').Split(',').Select(text => double.Parse(text, CultureInfo.InvariantCulture))];
        return new(golden.Number("adamp.lr"))
        {
            Beta1 = betas[0],
            Beta2 = betas[1],
            Epsilon = golden.Number("adamp.eps"),
            WeightDecay = golden.Number("adamp.weight_decay"),
            Delta = golden.Number("adamp.delta"),
            DecayRatio = golden.Number("adamp.wd_ratio"),
            Nesterov = nesterov,
        };
    }

    private SgdP SgdP(bool nesterov) => new(golden.Number("sgdp.lr"))
    {
        Momentum = golden.Number("sgdp.momentum"),
        Dampening = golden.Number("sgdp.dampening"),
        Epsilon = golden.Number("sgdp.eps"),
        WeightDecay = golden.Number("sgdp.weight_decay"),
        Delta = golden.Number("sgdp.delta"),
        DecayRatio = golden.Number("sgdp.wd_ratio"),
        Nesterov = nesterov,
    };
}
