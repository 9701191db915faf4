using PipelineDsl.Runtime.Allocation;

namespace PipelineDsl.Runtime.Tests.Allocation;

public sealed class SensitivityTableTests
{
    private static readonly SensitivityTable Table = new(10,
    [
        new("0.q", [2, 4, 6], [12, 10.05, 9.9]),
        new("0.k", [2, 4, 6], [10.5, 10.2, 10.01]),
        new("1.q", [2, 4, 6], [10.04, 10.03, 10.02]),
    ]);

    [Fact]
    public void Each_layer_takes_the_largest_reduction_within_the_limit() =>
        Table.WithinLimit(0.01).ShouldBe([1, 2, 0]);

    [Fact]
    public void A_type_of_layer_takes_one_candidate_in_all_blocks() =>
        Table.WithinLimit(0.01, layer => layer[^1..]).ShouldBe([1, 2, 1]);

    [Fact]
    public void A_layer_beyond_the_limit_everywhere_stays() =>
        Table.WithinLimit(-0.1).ShouldBe([-1, -1, -1]);

    [Fact]
    public void The_most_sensitive_candidates_leave_first()
    {
        long[] original = [8, 8, 8];
        Table.MostSensitiveFirst(original, 24).ShouldBe([-1, -1, -1]);
        Table.MostSensitiveFirst(original, 18).ShouldBe([2, 2, 2]);
        Table.MostSensitiveFirst(original, 6).ShouldBe([0, 0, 0]);
        Table.MostSensitiveFirst(original, 5).ShouldBeNull();
    }

    [Fact]
    public void The_cut_is_the_last_that_fits()
    {
        long[] original = [8, 8, 8];
        for (long budget = 6; budget <= 24; budget++)
        {
            var found = Table.MostSensitiveFirst(original, budget)!;
            found.Select((candidate, layer) => candidate < 0 ? original[layer] : Table.Rows[layer].Costs[candidate]).Sum().ShouldBeLessThanOrEqualTo(budget);
        }
    }

    [Fact]
    public void The_least_limit_that_fits_a_budget_is_found()
    {
        long[] original = [8, 8, 8];
        Table.LeastLimit(original, 5).ShouldBeNull();
        Table.LeastLimit(original, 24)!.ShouldBe([-1, -1, -1]);
        long last = 0;
        for (long budget = 23; budget >= 6; budget--)
        {
            var found = Table.LeastLimit(original, budget)!;
            long cost = found.Select((candidate, layer) => candidate < 0 ? original[layer] : Table.Rows[layer].Costs[candidate]).Sum();
            cost.ShouldBeLessThanOrEqualTo(budget);
            (last == 0 || cost <= last).ShouldBeTrue();
            last = cost;

            // Without the choice that harms most, the rest do not fit.
            double worst = found.Select((candidate, layer) => candidate < 0 ? double.NegativeInfinity : (Table.Rows[layer].Metrics[candidate] - Table.Baseline) / Table.Baseline).Max();
            var below = Table.WithinLimit(worst);
            below.Select((candidate, layer) => candidate < 0 ? original[layer] : Table.Rows[layer].Costs[candidate]).Sum().ShouldBeGreaterThan(budget);
        }
    }

    [Fact]
    public void Choices_that_give_no_number_are_the_first_to_leave()
    {
        var broken = new SensitivityTable(10, [new("a", [2, 4], [double.NaN, 10.1]), new("b", [2, 4], [10.3, 10.2])]);
        broken.MostSensitiveFirst([8, 8], 8).ShouldBe([1, 1]);
        broken.LeastLimit([8, 8], 8).ShouldBe([1, 1]);
        broken.LeastLimit([8, 8], 5).ShouldBeNull();
    }

    [Fact]
    public void A_table_is_measured_one_candidate_at_a_time()
    {
        var table = SensitivityTable.Measure(1, [("a", [1, 2]), ("b", [5])], (layer, candidate) => 1 + layer + (0.1 * candidate));
        table.Rows.Select(row => row.Metrics).ShouldBe([[1, 1.1], [2]]);
        table.Increases()[1][0].ShouldBe(1);
    }
}
