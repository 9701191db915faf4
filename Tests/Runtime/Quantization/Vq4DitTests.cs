using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Quantization;

public sealed class Vq4DitTests
{
    public static TheoryData<string, Vq4Dit> Steps => new()
    {
        { "k-means only", new Vq4Dit { Codewords = 16, Tune = CodebookTuning.None } },
        { "start of a training", new Vq4Dit { Codewords = 16 } },
        { "least squares", new Vq4Dit { Codewords = 16, Tune = CodebookTuning.Layer } },
        { "least squares, pairs, three candidates", new Vq4Dit { Codewords = 32, Width = 2, CandidateCount = 3, Tune = CodebookTuning.Layer, TableType = ScaleType.Float32 } },
        { "single values", new Vq4Dit { Codewords = 8, Width = 1, CandidateCount = 4, Tune = CodebookTuning.Layer } },
        { "whole rows", new Vq4Dit { Codewords = 4, Width = 24, Tune = CodebookTuning.Layer } },
        { "noise", new Vq4Dit { Codewords = 16, Tune = CodebookTuning.Layer, Inputs = CodebookInputs.Noise } },
    };

    [Theory]
    [MemberData(nameof(Steps))]
    public void The_weight_is_a_table_of_the_predicted_bytes_that_is_read_back_to_the_same_bits(string name, Vq4Dit step)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(30, 24, LayerProblems.Inputs(24));
        var solution = new Vq4DitSolver().Solve(problem, step);
        solution.Notes.ShouldBeEmpty(name);
        var codebook = solution.Weight.ShouldBeOfType<Codebook>();
        codebook.Bytes.ShouldBe(step.Predict(problem.Shape, [new(30, 24, 0)]).Sum(cost => cost.Bytes));
        codebook.Tables.shape.ShouldBe([1, step.CodewordsFor(30, 24), step.Width]);
        solution.Facts["codewords"].ShouldBe(step.CodewordsFor(30, 24));
        solution.Facts["bitsPerWeight"].ShouldBe(8.0 * codebook.Bytes / (30 * 24));
        using var copy = Expression.Read(codebook.Describe(), Weights.ExpressionTests.Leaves(codebook));
        Compare.SameBits(copy.Materialize(), codebook.Materialize()).ShouldBeTrue();
        codebook.Apply(Forms(5, 24)).ShouldBeNear(Forms(5, 24).mm(codebook.Materialize().mT), 1e-5);
        solution.Release();
    }

    [Theory]
    [InlineData(CodebookInputs.Data)]
    [InlineData(CodebookInputs.Noise)]
    public void Tuning_on_the_layers_outputs_lowers_their_error_step_by_step_and_reports_that_of_the_stored_weight(CodebookInputs inputs)
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(40, 24, LayerProblems.Inputs(24));
        var solution = new Vq4DitSolver().Solve(problem, new Vq4Dit { Codewords = 32, Tune = CodebookTuning.Layer, Inputs = inputs });
        var losses = solution.Facts.Where(fact => fact.Key is ['l', 'o', 's', 's', >= '0' and <= '9', ..]).OrderBy(fact => fact.Key, StringComparer.Ordinal).Select(fact => fact.Value).ToList();
        losses.Count.ShouldBeGreaterThan(2);
        losses.Zip(losses.Skip(1)).ShouldAllBe(pair => pair.Second <= pair.First);
        solution.Facts["lossStored"].ShouldBeLessThan(losses[0]);
        solution.Facts["weightedError"].ShouldBeLessThan(solution.Facts["weightedErrorKMeans"]);
        if (inputs == CodebookInputs.Data)
        {
            solution.Facts["weightedError"].ShouldBeLessThan(solution.Facts["weightedErrorNearest"]);
            var moments = problem.Statistics.InputMoments!;
            var error = solution.Weight.Materialize().to(float64) - problem.Weight.Materialize().to(float64);
            ((error.mm(moments.Gram) * error).sum().item<double>() / moments.Count / 40).ShouldBeNear(solution.Facts["lossStored"], 1e-6);
        }

        solution.Release();
    }

    [Fact]
    public void Noise_needs_no_data_and_depends_on_the_seed_alone()
    {
        using var scope = NewDisposeScope();
        var step = new Vq4Dit { Codewords = 16, Tune = CodebookTuning.Layer, Inputs = CodebookInputs.Noise };
        var problem = LayerProblems.Make(30, 24, LayerProblems.Inputs(24)) with { Statistics = LayerStatistics.None };
        LayerSolution Solve(long seed) => new Vq4DitSolver().Solve(problem with { Seed = seed }, step);
        var (first, again, other) = (Solve(1), Solve(1), Solve(2));
        Compare.SameBits(first.Weight.Materialize(), again.Weight.Materialize()).ShouldBeTrue();
        Compare.SameBits(first.Weight.Materialize(), other.Weight.Materialize()).ShouldBeFalse();
        first.Release();
        again.Release();
        other.Release();
    }

    [Fact]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(20, 24, LayerProblems.Inputs(24));
        LayerSolution Solve() => new Vq4DitSolver().Solve(problem, new Vq4Dit { Codewords = 16, Tune = CodebookTuning.Layer });
        var (first, second) = (Solve(), Solve());
        Compare.SameBits(first.Weight.Materialize(), second.Weight.Materialize()).ShouldBeTrue();
        first.Release();
        second.Release();
        Formats.TensorCount.GrowthOf(() => Solve().Release()).ShouldBe(0);
    }

    [Fact]
    public void A_training_leaves_nothing_alive()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(20, 24, LayerProblems.Inputs(24));
        var step = new Vq4Dit { Codewords = 16, TuneBias = true };
        var solver = new Vq4DitSolver();
        Formats.TensorCount.GrowthOf(() =>
        {
            var start = solver.Solve(problem, step);
            using var trainable = ((IReconstructingSolver)solver).Start(problem, step, start);
            using (NewDisposeScope())
            {
                LayerReconstruction.Run(trainable, start.Weight, problem.Weight.Materialize(), eye(24, dtype: float64), new() { Steps = 3 }).Best?.Dispose();
            }

            start.Release();
        }).ShouldBe(0);
    }

    [Fact]
    public void As_many_codewords_as_different_runs_store_the_weight_exactly()
    {
        using var scope = NewDisposeScope();
        var words = LayerProblems.Weight(16, 4).to(float32);
        var codes = arange(32 * 6, dtype: int64).mul(7).remainder(16).to(int16).reshape(32, 6);
        var problem = new LayerProblem("fc", new Dense(VectorQuantization.Look(codes, words)), null, LayerProblems.Collect(32, LayerProblems.Inputs(24)), 3);
        foreach (var tune in Enum.GetValues<CodebookTuning>())
        {
            var solution = new Vq4DitSolver().Solve(problem, new Vq4Dit { Codewords = 32, TableType = ScaleType.Float32, Tune = tune });
            solution.Facts["relativeError"].ShouldBe(0);
            Compare.SameBits(solution.Weight.Materialize(), problem.Weight.Materialize()).ShouldBeTrue();
            solution.Release();
        }
    }

    [Fact]
    public void A_codeword_without_runs_stays_and_equally_near_ones_go_to_the_lowest_index()
    {
        using var scope = NewDisposeScope();
        var matrix = tensor(new double[] { 0, 0, 1, 1, 0, 0, 3, 3 }).reshape(2, 4);
        var start = tensor(new double[] { 0, 0, 2, 2, 2, 2, 50, 50 }).reshape(4, 2);
        var (codes, _) = VectorQuantization.Assign(matrix, start);
        codes.data<short>().ToArray().ShouldBe([0, 0, 0, 1]);
        var (table, losses) = VectorQuantization.Lloyd(matrix, start, 10);
        table.ShouldBeNear(tensor(new double[] { 0, 0, 3, 3, 2, 2, 50, 50 }).reshape(4, 2), 1e-1);
        table.narrow(0, 2, 2).ShouldBeNear(start.narrow(0, 2, 2), 0);
        losses.Count.ShouldBeLessThan(10);
        var (candidates, distances) = VectorQuantization.Candidates(matrix, start, 3);
        candidates[3].data<int>().ToArray().ShouldBe([1, 2, 0]);
        distances[3].ShouldBeNear(tensor(new[] { Math.Sqrt(2), Math.Sqrt(2), Math.Sqrt(18) }), 1e-15);
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(3, 37)]
    [InlineData(4, 256)]
    [InlineData(7, 300)]
    public void The_search_agrees_with_distances_to_every_codeword_in_both_precisions(int width, int codewords)
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(50, width * 6);
        var table = randn(codewords, width, dtype: float64, generator: new Generator(9));
        var expected = Distances(weight.reshape(-1, width), table);
        var values = expected.sort(1, stable: true).Values;
        foreach (var dtype in new[] { float32, float64 })
        {
            var (codes, loss) = VectorQuantization.Assign(weight.to(dtype), table);
            expected.gather(1, VectorQuantization.Indices(codes).to(int64).unsqueeze(1)).ShouldBeNear(values.narrow(1, 0, 1), 1e-6);
            loss.ShouldBeNear(values.narrow(1, 0, 1).square().sum().item<double>() / weight.numel(), 1e-5);
            var (candidates, distances) = VectorQuantization.Candidates(weight.to(dtype), table, 3);
            distances.ShouldBeNear(values.narrow(1, 0, 3), 1e-6);
            expected.gather(1, candidates.to(int64)).ShouldBeNear(values.narrow(1, 0, 3), 1e-6);
            VectorQuantization.Indices(codes).eq(candidates.select(1, 0)).all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void First_codewords_are_different_runs_of_the_matrix_drawn_by_the_seed()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(50, 24);
        var start = VectorQuantization.Start(weight, 64, 4, seed: 5);
        Compare.SameBits(start, VectorQuantization.Start(weight, 64, 4, seed: 5)).ShouldBeTrue();
        Compare.SameBits(start, VectorQuantization.Start(weight, 64, 4, seed: 6)).ShouldBeFalse();
        Distances(start, weight.reshape(-1, 4)).amin([1L]).max().item<double>().ShouldBe(0);
        (Distances(start, start) + (eye(64, dtype: float64) * 9)).min().item<double>().ShouldBeGreaterThan(0);
    }

    [Fact]
    public void A_table_of_least_squares_with_unit_inputs_holds_the_means_and_its_slope_is_zero_with_any()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(40, 24);
        var start = VectorQuantization.Start(weight, 16, 4, seed: 1);
        var (means, _) = VectorQuantization.Lloyd(weight, start, 100);
        var (codes, _) = VectorQuantization.Assign(weight, means);
        LeastSquaresCodebook.Fit(weight, eye(24, dtype: float64), codes, start).ShouldBeNear(means, 1e-12);

        var x = LayerProblems.Inputs(24).reshape(-1, 24);
        var gram = x.mT.mm(x) / x.shape[0];
        var table = LeastSquaresCodebook.Fit(weight, gram, codes, start).requires_grad_(true);
        var error = VectorQuantization.Look(codes, table) - weight;
        (error.mm(gram) * error).sum().backward();
        table.grad!.abs().max().item<double>().ShouldBeLessThan(1e-9 * Compare.Norm(weight.mm(gram)));
    }

    [Fact]
    public void Singular_inputs_and_codewords_without_runs_leave_a_finite_table_that_is_no_worse()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(12, 8);
        var x = zeros(3, 8, dtype: float64);
        x[0, 1] = 1;
        x[1, 5] = 2;
        var gram = x.mT.mm(x);
        var table = cat([VectorQuantization.Start(weight, 4, 4, seed: 1), full(2, 4, 100, dtype: float64)]);
        var (codes, _) = VectorQuantization.Assign(weight, table);
        var fitted = LeastSquaresCodebook.Fit(weight, gram, codes, table);
        fitted.isfinite().all().item<bool>().ShouldBeTrue();
        fitted.narrow(0, 4, 2).ShouldBeNear(table.narrow(0, 4, 2), 0);
        Loss(fitted).ShouldBeLessThan(Loss(table));

        double Loss(Tensor codebook) => WeightedError.Energy(weight, VectorQuantization.Look(codes, codebook), gram);
    }

    [Fact]
    public void A_pass_over_the_candidates_moves_codes_only_to_candidates_and_ends_where_no_single_move_helps()
    {
        using var scope = NewDisposeScope();
        var weight = LayerProblems.Weight(6, 200);
        var x = LayerProblems.Inputs(200).reshape(-1, 200);
        var gram = x.mT.mm(x) / x.shape[0];
        var table = VectorQuantization.Start(weight, 8, 4, seed: 1);
        var (codes, _) = VectorQuantization.Assign(weight, table);
        var (candidates, _) = VectorQuantization.Candidates(weight, table, 3);
        var descent = new CandidateDescent(gram, table);
        double loss = Loss(codes);
        for (double before = double.PositiveInfinity; loss < before;)
        {
            before = loss;
            descent.Pass(weight, codes, candidates);
            loss = Loss(codes);
            loss.ShouldBeLessThanOrEqualTo(before);
        }

        (VectorQuantization.Indices(codes).unsqueeze(1) == candidates).any(1).all().item<bool>().ShouldBeTrue();
        for (long run = 0; run < 50; run++)
        {
            for (long candidate = 0; candidate < 3; candidate++)
            {
                var moved = codes.clone();
                moved[0, run] = candidates[run, candidate].to(int16);
                Loss(moved).ShouldBeGreaterThanOrEqualTo(loss * (1 - 1e-12));
            }
        }

        double Loss(Tensor chosen) => WeightedError.Energy(weight, VectorQuantization.Look(chosen, table), gram);
    }

    [Fact]
    public void Equal_codewords_give_finite_logits()
    {
        using var scope = NewDisposeScope();
        var logits = Vq4DitMatrix.LogitsOf(zeros(3, 3, dtype: float64));
        logits.abs().max().item<double>().ShouldBe(0);
    }

    [Fact]
    public void Once_almost_all_codes_are_decided_the_table_alone_is_trained_and_codes_stay()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(30, 24, LayerProblems.Inputs(24));
        var step = new Vq4Dit { Codewords = 16, FreezeThreshold = 0.7, FreezeShare = 0.4, TableRate = 1e-3 };
        var start = new Vq4DitSolver().Solve(problem, step);
        using var trainable = (Vq4DitWeight)((IReconstructingSolver)new Vq4DitSolver()).Start(problem, step, start);
        var first = trainable.Matrices[0].Codebook.detach().clone();
        trainable.Harden().ShouldBeOfType<Codebook>().Materialize().ShouldBeNear(start.Weight.Materialize(), 0);
        var x = LayerProblems.Inputs(24).reshape(-1, 24);
        void Run(int steps) => LayerReconstruction.Run(trainable, start.Weight, problem.Weight.Materialize(), x, new() { Steps = steps, Schedule = RateSchedule.Constant }).Best?.Dispose();
        int taken = 0;
        for (; trainable.Matrices[0].HardStep is null; taken++)
        {
            taken.ShouldBeLessThan(500);
            Compare.SameBits(trainable.Matrices[0].Codebook.detach(), first).ShouldBeTrue();
            Run(1);
        }

        var codes = trainable.Matrices[0].Codes().clone();
        var logits = trainable.Matrices[0].Logits.detach().clone();
        Run(5);
        trainable.Facts["hardStep"].ShouldBe(taken);
        trainable.Facts["fixedShare"].ShouldBe(1);
        Compare.SameBits(trainable.Matrices[0].Codes(), codes).ShouldBeTrue();
        Compare.SameBits(trainable.Matrices[0].Logits.detach(), logits).ShouldBeTrue();
        Compare.SameBits(trainable.Matrices[0].Codebook.detach(), first).ShouldBeFalse();
        using var hard = trainable.Harden();
        Compare.SameBits(hard.Materialize(), trainable.Soft().detach()).ShouldBeTrue();
        start.Release();
    }

    [Fact]
    public void The_papers_form_starts_with_equal_ratios_trains_the_table_at_once_and_always_regularises()
    {
        using var scope = NewDisposeScope();
        var problem = LayerProblems.Make(30, 24, LayerProblems.Inputs(24));
        var step = new Vq4Dit { Codewords = 16, Form = Vq4DitForm.Paper, CandidateCount = 3 };
        var start = new Vq4DitSolver().Solve(problem, step);
        using var trainable = (Vq4DitWeight)((IReconstructingSolver)new Vq4DitSolver()).Start(problem, step, start);
        trainable.Matrices[0].Logits.detach().softmax(1).ShouldBeNear(full(30 * 6, 3, 1.0 / 3, dtype: float32), 1e-6);
        using (var hard = trainable.Harden())
        {
            Compare.SameBits(hard.Materialize(), start.Weight.Materialize()).ShouldBeTrue();
        }

        var first = trainable.Matrices[0].Codebook.detach().clone();
        LayerReconstruction.Run(trainable, start.Weight, problem.Weight.Materialize(), eye(24, dtype: float64), new() { Steps = 4 }).Best?.Dispose();
        trainable.Facts["regularisedSteps"].ShouldBe(4);
        Compare.SameBits(trainable.Matrices[0].Codebook.detach(), first).ShouldBeFalse();
        start.Release();
    }

    [Fact]
    public void Both_factors_of_a_product_get_a_table_of_their_own()
    {
        using var scope = NewDisposeScope();
        var problem = new LayerProblem("fc", new Product(new Dense(LayerProblems.Weight(16, 8)), new Dense(LayerProblems.Weight(8, 20))), null, LayerProblems.Collect(16, LayerProblems.Inputs(20)), 0);
        foreach (var tune in Enum.GetValues<CodebookTuning>())
        {
            var step = new Vq4Dit { Codewords = 8, Width = 2, Tune = tune };
            var solution = new Vq4DitSolver().Solve(problem, step);
            var product = solution.Weight.ShouldBeOfType<Product>();
            product.Left.ShouldBeOfType<Codebook>();
            product.Right.ShouldBeOfType<Codebook>();
            solution.Release();
        }
    }

    [Fact]
    public void What_cannot_be_done_says_why()
    {
        using var scope = NewDisposeScope();
        var solver = new Vq4DitSolver();
        var odd = new LayerProblem("fc", new Product(new Dense(LayerProblems.Weight(16, 7)), new Dense(LayerProblems.Weight(7, 20))), null, LayerStatistics.None, 0);
        Should.Throw<InvalidOperationException>(() => solver.Solve(odd, new Vq4Dit())).Message.ShouldContain("rows of 7 values");
        var broken = LayerProblems.Weight(8, 8);
        broken[2, 3] = double.NaN;
        Should.Throw<InvalidOperationException>(() => solver.Solve(new("fc", new Dense(broken), null, LayerStatistics.None, 0), new Vq4Dit())).Message.ShouldContain("NaN");
        var large = new LayerProblem("fc", new Dense(LayerProblems.Weight(8, 8) * 1e6), null, LayerStatistics.None, 0);
        Should.Throw<InvalidOperationException>(() => solver.Solve(large, new Vq4Dit())).Message.ShouldContain("tableType: float32");
    }

    [Fact]
    public void Silent_inputs_and_weights_of_zeros_come_out_as_they_can()
    {
        using var scope = NewDisposeScope();
        var step = new Vq4Dit { Codewords = 16, Tune = CodebookTuning.Layer };
        var silent = LayerProblems.Make(20, 24, LayerProblems.Inputs(24)) with { Statistics = LayerProblems.Silent(20, 24) };
        var solution = new Vq4DitSolver().Solve(silent, step);
        solution.Notes.ShouldHaveSingleItem().ShouldContain("all zero");
        solution.Facts["relativeError"].ShouldBeLessThan(1);
        solution.Release();
        var zero = silent with { Weight = new Dense(zeros(20, 24)), Statistics = LayerProblems.Collect(20, LayerProblems.Inputs(24)) };
        var nothing = new Vq4DitSolver().Solve(zero, step);
        nothing.Facts["relativeError"].ShouldBe(0);
        nothing.Weight.Materialize().abs().max().item<float>().ShouldBe(0);
        nothing.Release();
    }

    private static Tensor Distances(Tensor a, Tensor b) => (a.unsqueeze(1) - b).square().sum(2).sqrt();

    private static Tensor Forms(long rows, long columns) => Weights.Forms.Random([rows, columns], float32);
}
