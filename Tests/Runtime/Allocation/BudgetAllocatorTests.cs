using PipelineDsl.Runtime.Allocation;

namespace PipelineDsl.Runtime.Tests.Allocation;

public sealed class BudgetAllocatorTests(ITestOutputHelper output)
{
    private static readonly int[] Seeds = [.. Enumerable.Range(0, 1000)];

    [Fact]
    public void On_a_thousand_random_problems_it_is_as_good_as_trying_every_choice_and_never_over_budget()
    {
        foreach (int seed in Seeds)
        {
            var random = new Random(seed);
            var layers = Problem(random, random.Next(1, 6), random.Next(1, 7));
            long smallest = BudgetAllocator.SmallestBudget(layers);
            long budget = smallest + random.NextInt64(0, layers.Sum(options => options.Max(option => option.Cost)) - smallest + 3);
            var allocation = BudgetAllocator.Allocate(layers, budget);
            var (cost, distortion) = BruteForce(layers, budget);
            allocation.IsOptimal.ShouldBeTrue();
            allocation.Distortion.ShouldBe(distortion, 1e-9, $"seed {seed}");
            allocation.Cost.ShouldBe(cost, $"seed {seed}: the cheapest of equal choices");
            allocation.Cost.ShouldBeLessThanOrEqualTo(budget);
            allocation.LowerBound.ShouldBeLessThanOrEqualTo(allocation.Distortion + 1e-9, $"seed {seed}");
            allocation.Choices.Select((choice, layer) => layers[layer][choice].Cost).Sum().ShouldBe(allocation.Cost);
        }
    }

    [Fact]
    public void With_the_product_of_ranks_and_bits_it_is_as_good_as_trying_every_choice()
    {
        foreach (int seed in Seeds.Take(100))
        {
            var random = new Random(seed);
            var layers = Enumerable.Range(0, 3).Select(_ =>
            {
                double decay = 0.1 + random.NextDouble();
                double weight = Math.Exp(3 * random.NextDouble());
                return (IReadOnlyList<AllocationOption>)[.. Enumerable.Range(1, 4).SelectMany(rank => Enumerable.Range(2, 7).Select(bits =>
                {
                    double tail = Math.Exp(-decay * rank);
                    return new AllocationOption(((20 * rank * bits) + 7) / 8, weight * (tail + ((1 - tail) * Math.Pow(4, -bits))));
                }))];
            }).ToList();
            long smallest = BudgetAllocator.SmallestBudget(layers);
            long budget = smallest + random.NextInt64(0, layers.Sum(options => options.Max(option => option.Cost)) - smallest + 3);
            var allocation = BudgetAllocator.Allocate(layers, budget);
            var (cost, distortion) = BruteForce(layers, budget);
            allocation.Distortion.ShouldBe(distortion, 1e-9, $"seed {seed}");
            allocation.Cost.ShouldBe(cost, $"seed {seed}");
        }
    }

    [Fact]
    public void On_problems_too_large_to_try_every_choice_it_is_as_good_as_another_solver()
    {
        foreach (int seed in Seeds.Take(12))
        {
            var random = new Random(seed);
            var layers = Problem(random, 14, 40);
            long smallest = BudgetAllocator.SmallestBudget(layers);
            long budget = smallest + random.NextInt64(0, layers.Sum(options => options.Max(option => option.Cost)) - smallest);
            BudgetAllocator.Allocate(layers, budget).Distortion.ShouldBe(OrTools.LeastDistortion(layers, budget).ShouldNotBeNull(), 1e-9, $"seed {seed}");
        }
    }

    [Fact]
    public void It_is_no_worse_than_any_uniform_choice_of_equal_cost()
    {
        foreach (int seed in Seeds)
        {
            var layers = Problem(new Random(seed), 5, 6);
            for (int option = 0; option < 6; option++)
            {
                long cost = layers.Sum(options => options[option].Cost);
                BudgetAllocator.Allocate(layers, cost).Distortion.ShouldBeLessThanOrEqualTo(layers.Sum(options => options[option].Distortion) + 1e-9);
            }
        }
    }

    [Fact]
    public void A_larger_budget_never_costs_quality()
    {
        var layers = Problem(new Random(5), 6, 6);
        long smallest = BudgetAllocator.SmallestBudget(layers);
        double before = double.PositiveInfinity;
        for (long budget = smallest; budget < smallest + 200; budget++)
        {
            double now = BudgetAllocator.Allocate(layers, budget).Distortion;
            now.ShouldBeLessThanOrEqualTo(before + 1e-12);
            before = now;
        }
    }

    [Fact]
    public void The_order_of_layers_and_the_scale_of_distortion_change_no_choice()
    {
        foreach (int seed in Seeds.Take(200))
        {
            var random = new Random(seed);
            var layers = Problem(random, 5, 6, distinct: true);
            long budget = BudgetAllocator.SmallestBudget(layers) + 40;
            var choices = BudgetAllocator.Allocate(layers, budget).Choices;
            BudgetAllocator.Allocate([.. layers.Reverse()], budget).Choices.ShouldBe(choices.Reverse());
            IReadOnlyList<AllocationOption>[] scaled = [.. layers.Select(options => options.Select(option => option with { Distortion = option.Distortion * 1024 }).ToArray())];
            BudgetAllocator.Allocate(scaled, budget).Choices.ShouldBe(choices);
        }
    }

    [Fact]
    public void Of_equal_choices_the_cheaper_wins_and_then_the_smaller_index()
    {
        AllocationOption[][] layers = [[new(5, 1), new(3, 1), new(3, 1)], [new(2, 0), new(2, 0)]];
        BudgetAllocator.Allocate(layers, 10).Choices.ShouldBe([1, 0]);
    }

    [Fact]
    public void A_budget_out_of_reach_names_the_smallest_one()
    {
        AllocationOption[][] layers = [[new(5, 1), new(3, 2)], [new(2, 0)]];
        Should.Throw<ArgumentOutOfRangeException>(() => BudgetAllocator.Allocate(layers, 4)).Message.ShouldContain("smallest attainable budget is 5");
        BudgetAllocator.Allocate(layers, 5).Choices.ShouldBe([1, 0]);
    }

    [Fact]
    public void A_thinned_search_stays_within_the_budget_and_says_that_it_proves_nothing()
    {
        int thinned = 0;
        foreach (int seed in Seeds)
        {
            var layers = Problem(new Random(seed), 6, 6, distinct: true);
            long budget = BudgetAllocator.SmallestBudget(layers) + 60;
            var allocation = BudgetAllocator.Allocate(layers, budget, maxStates: 2);
            allocation.Cost.ShouldBeLessThanOrEqualTo(budget);
            allocation.Distortion.ShouldBeGreaterThanOrEqualTo(allocation.LowerBound - 1e-12);
            double best = BudgetAllocator.Allocate(layers, budget).Distortion;
            if (allocation.IsOptimal)
            {
                allocation.Distortion.ShouldBe(best, 1e-12);
            }
            else
            {
                thinned++;
                allocation.Distortion.ShouldBeGreaterThanOrEqualTo(best - 1e-12);
            }
        }

        thinned.ShouldBeGreaterThan(0);
    }

    [Fact]
    public void What_is_no_problem_is_refused()
    {
        Should.Throw<ArgumentException>(() => BudgetAllocator.Allocate([[]], 4));
        Should.Throw<ArgumentException>(() => BudgetAllocator.Allocate([[new AllocationOption(-1, 0)]], 4));
        Should.Throw<ArgumentException>(() => BudgetAllocator.Allocate([[new AllocationOption(1, double.NaN)]], 4));
        BudgetAllocator.Allocate([], 0).Choices.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("decay")]
    [InlineData("noise")]
    public void A_large_model_with_a_budget_of_gigabytes_is_solved_within_a_hair_of_the_bound(string kind)
    {
        var random = new Random(1);
        AllocationOption[][] layers = [.. Enumerable.Range(0, 200).Select(_ =>
        {
            long size = random.NextInt64(1 << 20, 1L << 27);
            double decay = 1 + (10 * random.NextDouble());
            return Enumerable.Range(1, 64).Select(i => new AllocationOption(
                size * i / 64,
                kind == "decay" ? Math.Exp(-decay * i / 64) * (1 + (0.05 * random.NextDouble())) : random.NextDouble())).ToArray();
        })];
        long budget = layers.Sum(options => options[^1].Cost) / 2;
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var allocation = BudgetAllocator.Allocate(layers, budget);
        output.WriteLine($"{kind}: {clock.ElapsedMilliseconds} ms, {allocation.Distortion:R} against {allocation.LowerBound:R}, optimal {allocation.IsOptimal}");
        allocation.Cost.ShouldBeLessThanOrEqualTo(budget);
        allocation.Distortion.ShouldBeInRange(allocation.LowerBound - 1e-9, allocation.LowerBound * 1.01);
    }

    private static IReadOnlyList<AllocationOption>[] Problem(Random random, int layers, int options, bool distinct = false) =>
        [.. Enumerable.Range(0, layers).Select(_ => Enumerable.Range(0, options)
            .Select(_ => new AllocationOption(random.NextInt64(0, 50), distinct ? random.NextDouble() : random.Next(-3, 12))).ToArray())];

    private static (long Cost, double Distortion) BruteForce(IReadOnlyList<IReadOnlyList<AllocationOption>> layers, long budget)
    {
        IEnumerable<(long Cost, double Distortion)> all = [(0, 0)];
        foreach (var options in layers)
        {
            all = [.. all.SelectMany(state => options.Select(option => (state.Cost + option.Cost, state.Distortion + option.Distortion)))];
        }

        return all.Where(state => state.Cost <= budget).OrderBy(state => state.Distortion).ThenBy(state => state.Cost).First();
    }
}
