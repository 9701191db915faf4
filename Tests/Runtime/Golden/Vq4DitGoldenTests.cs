using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Reconstruction;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>VQ4DiT against the published formulas in float64; the checks of its page.</summary>
[Trait("Category", "Golden")]
public sealed class Vq4DitGoldenTests : IDisposable
{
    /// <summary>Steps over which two roundings of the same sums stay together.</summary>
    private const int TightSteps = 10;

    private readonly GoldenFile golden = GoldenFile.Open("vq4dit");
    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();
    private readonly Vq4Dit step;
    private readonly Tensor weight;
    private readonly Tensor x;
    private readonly Tensor codebook;
    private readonly Dense dense;

    public Vq4DitGoldenTests()
    {
        step = new()
        {
            Codewords = golden.Integer("k"),
            Width = golden.Integer("d"),
            CandidateCount = golden.Integer("candidates"),
            KMeansIterations = golden.Integer("kmeans_iters"),
            Iterations = golden.Integer("steps"),
            RatioRate = golden.Number("logit_lr"),
            FreezeThreshold = golden.Number("freeze_threshold"),
        };
        weight = golden["in.weight"];
        x = golden["in.x"];
        codebook = golden["out.kmeans.codebook"];
        dense = new(weight.clone());
    }

    public void Dispose()
    {
        dense.Dispose();
        scope.Dispose();
    }

    [Fact]
    public void K_means_equals_the_reference_and_its_cost_never_rises()
    {
        var (found, losses) = VectorQuantization.Lloyd(weight, golden["in.codebook_init"], step.KMeansIterations);
        found.ShouldBeNear(codebook, 1e-10);
        var (codes, loss) = VectorQuantization.Assign(weight, found);
        VectorQuantization.Indices(codes).eq(golden["out.kmeans.codes"].to(int32)).all().item<bool>().ShouldBeTrue();
        loss.ShouldBeNear(golden.Scalar("out.kmeans.mse"), 1e-10);
        foreach (var (before, after) in losses.Zip([.. losses.Skip(1), loss]))
        {
            after.ShouldBeLessThanOrEqualTo(before * (1 + 1e-12));
        }
    }

    [Fact]
    public void Candidates_distances_and_first_logits_equal_the_reference()
    {
        var (indices, distances) = VectorQuantization.Candidates(weight, codebook, step.CandidateCount);
        indices.eq(golden["out.cand.index"].to(int32)).all().item<bool>().ShouldBeTrue();
        distances.ShouldBeNear(golden["out.cand.distance"], 1e-12);
        Vq4DitMatrix.LogitsOf(distances).ShouldBeNear(golden["out.cand.logits"], 1e-12);
    }

    [Fact]
    public void Ratios_add_up_to_one_and_fall_with_the_distance()
    {
        using var trainable = Start();
        var ratios = Matrix(trainable).Logits.detach().softmax(1);
        ratios.ShouldBeNear(golden["out.soft.ratios"], 1e-12);
        (ratios.sum(1) - 1).abs().max().item<double>().ShouldBeLessThanOrEqualTo(1e-12);
        var distances = golden["out.cand.distance"];
        for (int i = 1; i < step.CandidateCount; i++)
        {
            // Two that are as near as the published formula's 1e-5 are told apart by it alone.
            var further = distances.select(1, i) - distances.select(1, i - 1) > 1e-5;
            (ratios.select(1, i) <= ratios.select(1, i - 1)).masked_select(further).all().item<bool>().ShouldBeTrue();
        }
    }

    [Fact]
    public void The_soft_weight_equals_the_reference_and_lies_between_its_candidates()
    {
        using var trainable = Start();
        var soft = trainable.Soft().detach();
        soft.ShouldBeNear(golden["out.soft.weight"], 1e-12);
        OutputError.On(weight, x).Measure([new(soft, null)]).ShouldBeNear(golden.Scalar("out.soft.loss_output_mse"), 1e-12);
        var runs = soft.reshape(-1, step.Width);
        var corners = codebook.index_select(0, golden["out.cand.index"].to(int64).reshape(-1)).reshape(runs.shape[0], -1, step.Width);
        (runs >= corners.amin(1) - 1e-12).logical_and(runs <= corners.amax(1) + 1e-12).all().item<bool>().ShouldBeTrue();
    }

    [Fact]
    public void Both_regularisers_equal_the_reference_and_are_zero_for_decided_ratios_only()
    {
        var ratios = golden["out.soft.ratios"];
        long runs = ratios.shape[0];
        Value(Vq4DitForm.Code, ratios).ShouldBeNear(golden.Scalar("out.soft.loss_ratio_reg"), 1e-12);
        Value(Vq4DitForm.Paper, ratios).ShouldBeNear(golden.Scalar("out.soft.loss_ratio_reg_paper_form"), 1e-12);
        foreach (var form in Enum.GetValues<Vq4DitForm>())
        {
            var decided = zeros_like(ratios);
            decided.select(1, 0).fill_(1);
            Value(form, decided).ShouldBe(0);
            decided[0, 0] = 0.999;
            decided[0, 1] = 0.001;
            Value(form, decided).ShouldBeGreaterThan(0);
        }

        double Value(Vq4DitForm form, Tensor shares) => Vq4DitMatrix.Regulariser(form, shares, runs).item<double>();
    }

    [Fact]
    public void Gradients_of_logits_and_table_equal_the_reference()
    {
        using var trainable = Start();
        var matrix = Matrix(trainable);
        var ratios = matrix.Logits.softmax(1);
        var soft = matrix.Mix(ratios, matrix.Codebook);
        var upstream = OutputError.On(weight, x).Differentiate(0, [new(soft.detach(), null)]).Gradients[0].Weight!;
        var regulariser = Vq4DitMatrix.Regulariser(Vq4DitForm.Code, ratios, ratios.shape[0]);
        autograd.backward([soft, regulariser], [upstream, ones_like(regulariser)]);
        matrix.Logits.grad!.ShouldBeNear(golden["out.soft.grad_logits"], 1e-9);
        matrix.Codebook.grad!.ShouldBeNear(golden["out.soft.grad_codebook"], 1e-9);
    }

    [Fact]
    public void The_first_step_moves_the_logits_as_the_reference_does()
    {
        using var trainable = Start();
        Train(trainable, 1);
        var expected = golden["out.calib.logits_after_1"];
        var decided = expected.amax([1L], keepdim: true) > 1000;
        var logits = Matrix(trainable).Logits.detach();
        logits.masked_select(decided.expand_as(expected)).eq(expected.masked_select(decided.expand_as(expected))).all().item<bool>().ShouldBeTrue();
        logits.masked_fill(decided, 0).ShouldBeNear(expected.masked_fill(decided, 0), 1e-9);
    }

    [Fact]
    public void Training_follows_the_reference_and_what_is_decided_never_changes()
    {
        using var trainable = Start();
        var watched = new Watched(trainable);
        var result = Train(watched, step.Iterations);
        double[] losses = [.. golden["out.calib.losses"].data<double>()];
        double[] shares = [.. golden["out.calib.frozen_fraction"].data<double>()];
        for (int i = 0; i < losses.Length; i++)
        {
            result.Losses[i].ShouldBeNear(losses[i], i < TightSteps ? 1e-9 : 0.05);
            watched.Shares[i].ShouldBe(shares[i], i < TightSteps ? 1e-12 : 0.1);
        }

        watched.Shares.Zip(watched.Shares.Skip(1)).ShouldAllBe(pair => pair.Second >= pair.First);
        watched.Changed.ShouldBeFalse();
        var codes = VectorQuantization.Indices(Matrix(trainable).Codes());
        codes.eq(golden["out.calib.codes"].to(int32)).to(float64).mean().item<double>().ShouldBeGreaterThanOrEqualTo(0.97);
        result.Best?.Dispose();
    }

    [Fact]
    public void Calibrated_codes_lose_less_than_those_of_k_means()
    {
        double before = golden.Scalar("out.calib.hard_loss_before");
        Loss(golden["out.kmeans.codes"], codebook).ShouldBeNear(before, 1e-10);
        double after = golden.Scalar("out.calib.hard_loss");
        Loss(golden["out.calib.codes"], codebook).ShouldBeNear(after, 1e-10);
        using var trainable = Start();
        var result = Train(trainable, step.Iterations);
        result.StartLoss.ShouldBeNear(before, 1e-5);
        result.BestLoss.ShouldBeLessThanOrEqualTo(result.StartLoss);
        result.BestLoss.ShouldBeLessThanOrEqualTo(after * 1.01);
        result.Best?.Dispose();
    }

    [Fact]
    public void The_table_of_least_squares_is_the_best_for_given_codes_and_no_worse_than_the_reference()
    {
        var codes = Codes(golden["out.calib.codes"]);
        var table = LeastSquaresCodebook.Fit(weight, Gram, codes, codebook);
        double best = Loss(golden["out.calib.codes"], table);
        best.ShouldBeLessThanOrEqualTo(golden.Scalar("out.ls.weight_hat_loss") * (1 + 1e-6));
        foreach (double change in new[] { -1e-3, 1e-3 })
        {
            var moved = table.clone();
            moved[0] += change;
            Loss(golden["out.calib.codes"], moved).ShouldBeGreaterThanOrEqualTo(best * (1 - 1e-12));
        }
    }

    [Fact]
    public void Table_and_codes_in_turn_never_raise_the_loss_and_end_below_the_reference()
    {
        var local = new LayerCodebook(weight, Gram, new() { Codewords = step.Codewords, Width = step.Width, CandidateCount = step.CandidateCount, Alternations = 10 });
        var (table, codes, loss) = local.Tune(codebook, Codes(golden["out.kmeans.codes"]), float64);
        local.Trace[0].ShouldBeNear(golden.Scalar("out.calib.hard_loss_before"), 1e-10);
        local.Trace.Zip(local.Trace.Skip(1)).ShouldAllBe(pair => pair.Second <= pair.First);
        loss.ShouldBeNear(Loss(codes, table), 1e-10);
        loss.ShouldBeLessThanOrEqualTo(local.Trace[^1]);
        loss.ShouldBeLessThan(golden.Scalar("out.calib.hard_loss"));
    }

    [Fact]
    public void One_candidate_is_plain_vector_quantisation()
    {
        using var trainable = Start(new() { Codewords = step.Codewords, Width = step.Width, CandidateCount = 1 });
        trainable.Soft().detach().ShouldBeNear(VectorQuantization.Look(Codes(golden["out.kmeans.codes"]), codebook), 0);
    }

    [Fact]
    public void As_many_codewords_as_different_runs_leave_no_error_and_their_order_does_not_matter()
    {
        var few = VectorQuantization.Look(Codes(golden["out.kmeans.codes"]), codebook);
        var (exact, _) = VectorQuantization.Lloyd(few, VectorQuantization.Start(few, step.Codewords, step.Width, seed: 3), 5);
        var (codes, loss) = VectorQuantization.Assign(few, exact);
        loss.ShouldBeLessThanOrEqualTo(1e-28);
        var order = arange(step.Codewords, dtype: int64).flip(0);
        var renamed = (step.Codewords - 1 - VectorQuantization.Indices(codes)).to(int16).reshape(codes.shape);
        VectorQuantization.Look(renamed, exact.index_select(0, order)).ShouldBeNear(VectorQuantization.Look(codes, exact), 0);
    }

    [Fact]
    public void Bytes_are_those_of_the_formula()
    {
        var table = golden["out.kmeans.codebook"].to(float16).unsqueeze(0);
        using var stored = Codebook.Pack(Codes(golden["out.kmeans.codes"]), table);
        double bits = weight.numel() / step.Width * Math.Log2(step.Codewords);
        stored.Bytes.ShouldBe((long)Math.Ceiling(bits / 8) + (step.Codewords * step.Width * 2));
        if (step.CodewordsFor(weight.shape[0], weight.shape[1]) == step.Codewords)
        {
            step.BytesFor(weight.shape[0], weight.shape[1]).ShouldBe(stored.Bytes);
        }
    }

    private Tensor Gram => x.mT.mm(x) / x.shape[0];

    private Vq4DitWeight Start(Vq4Dit? other = null) => new(dense, [codebook], null, float64, other ?? step, golden.Number("rmsprop_alpha"));

    private static Vq4DitMatrix Matrix(Vq4DitWeight trainable) => trainable.Matrices[0];

    private Tensor Codes(Tensor plain) => plain.to(int16).reshape(weight.shape[0], -1);

    private double Loss(Tensor codes, Tensor table) => OutputError.On(weight, x).Measure([new(VectorQuantization.Look(Codes(codes), table), null)]);

    private LayerReconstructionResult Train(TrainableWeight trainable, int steps)
    {
        using var start = Codebook.Pack(Codes(golden["out.kmeans.codes"]), codebook.to(float32).unsqueeze(0));
        return LayerReconstruction.Run(trainable, start, weight, x, new() { Steps = steps, Schedule = RateSchedule.Constant });
    }

    /// <summary>Looks at a weight after each step.</summary>
    private sealed class Watched(Vq4DitWeight weight) : TrainableWeight
    {
        private Tensor? before;

        public List<double> Shares { get; } = [];

        public bool Changed { get; private set; }

        public override IReadOnlyList<TrainableGroup> Groups => weight.Groups;

        public override Tensor Soft() => weight.Soft();

        public override Tensor? Penalty(double loss) => weight.Penalty(loss);

        public override Expression Harden() => weight.Harden();

        public override void AfterStep(int step, int steps)
        {
            weight.AfterStep(step, steps);
            var logits = weight.Matrices[0].Logits.detach().clone().DetachFromDisposeScope();
            if (before is not null)
            {
                var decided = (before.amax([1L], keepdim: true) > 1000).expand_as(logits);
                Changed |= !logits.masked_select(decided).eq(before.masked_select(decided)).all().item<bool>();
                before.Dispose();
            }

            before = logits;
            Shares.Add(weight.Matrices[0].FixedShare);
        }
    }
}
