using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

public sealed class Vq4DitTests
{
    private static readonly LayerShape Layer = new(LayerKinds.Linear, 96, 60);

    public static TheoryData<Vq4Dit, string, string> Unused => new()
    {
        { new Vq4Dit { Tune = CodebookTuning.Layer, Iterations = 9 }, nameof(Vq4Dit.Iterations), "tune: block" },
        { new Vq4Dit { Tune = CodebookTuning.None, FreezeShare = 0.5 }, nameof(Vq4Dit.FreezeShare), "tune: block" },
        { new Vq4Dit { Alternations = 9 }, nameof(Vq4Dit.Alternations), "tune: layer" },
        { new Vq4Dit { Inputs = CodebookInputs.Noise }, nameof(Vq4Dit.Inputs), "tune: layer" },
        { new Vq4Dit { Tune = CodebookTuning.None, CandidateCount = 3 }, nameof(Vq4Dit.CandidateCount), "tune: none" },
    };

    [Theory]
    [MemberData(nameof(Unused))]
    public void Settings_that_nothing_reads_are_refused(Vq4Dit step, string given, string cure)
    {
        var problem = step.Check(Layer, new HashSet<string> { given }).ShouldHaveSingleItem();
        problem.Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        problem.Setting.ShouldBe(given);
        problem.Message.ShouldContain(cure);
        step.Check(Layer, new HashSet<string>()).ShouldBeEmpty();
    }

    [Fact]
    public void A_width_that_does_not_divide_the_row_is_refused_with_those_that_do()
    {
        var problem = new Vq4Dit { Width = 8 }.Check(Layer, new HashSet<string>()).ShouldHaveSingleItem();
        problem.Id.ShouldBe(DiagnosticIds.InvalidValue);
        problem.Setting.ShouldBe(nameof(Vq4Dit.Width));
        problem.Message.ShouldEndWith("use a 'width' of 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60");
        new Vq4Dit { Width = 8 }.Check(null, new HashSet<string>()).ShouldBeEmpty();
    }

    [Fact]
    public void Codewords_that_waste_codes_are_refused_with_their_neighbours()
    {
        var problem = new Vq4Dit { Codewords = 100 }.Check(Layer, new HashSet<string>()).ShouldHaveSingleItem();
        problem.Id.ShouldBe(DiagnosticIds.InvalidValue);
        problem.Message.ShouldContain("use 64 or 128");
    }

    [Fact]
    public void Least_squares_are_refused_where_their_equations_are_too_many_or_have_no_inputs()
    {
        var large = new LayerShape(LayerKinds.Linear, 4096, 4096);
        new Vq4Dit { Codewords = 4096, Tune = CodebookTuning.Layer }.Check(large, new HashSet<string>()).ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.ContradictorySettings);
        new Vq4Dit { Codewords = 4096, Tune = CodebookTuning.Layer }.Check(Layer, new HashSet<string>()).ShouldBeEmpty();
        var grouped = new LayerShape(LayerKinds.Conv2d, 32, 4 * 9) { Kernel = new(3, 3, 4) };
        new Vq4Dit { Tune = CodebookTuning.Layer }.Check(grouped, new HashSet<string>()).ShouldHaveSingleItem().Id.ShouldBe(DiagnosticIds.NotCompressible);
        new Vq4Dit { Tune = CodebookTuning.Layer, Inputs = CodebookInputs.Noise }.Check(grouped, new HashSet<string>()).ShouldBeEmpty();
        new Vq4Dit().Check(grouped, new HashSet<string>()).ShouldBeEmpty();
    }

    [Theory]
    [InlineData(256, 4, ScaleType.Float16, 4096, 4096, (4096 * 1024) + (256 * 4 * 2))]
    [InlineData(64, 2, ScaleType.Float16, 4096, 4096, (4096 * 2048 * 6 / 8) + (64 * 2 * 2))]
    [InlineData(256, 4, ScaleType.Float32, 4096, 4096, (4096 * 1024) + (256 * 4 * 4))]
    [InlineData(8, 4, ScaleType.Float16, 7, 20, ((7 * 5 * 3 + 7) / 8) + (8 * 4 * 2))]
    public void Its_bytes_are_those_of_codes_and_table(int codewords, int width, ScaleType type, long rows, long columns, long bytes) =>
        new Vq4Dit { Codewords = codewords, Width = width, TableType = type }
            .Predict(new(LayerKinds.Linear, rows, columns), [new(rows, columns, 0)]).ShouldHaveSingleItem().Bytes.ShouldBe(bytes);

    [Theory]
    [InlineData(4096, 4096, 256)]
    [InlineData(16, 256, 256)]
    [InlineData(16, 252, 128)]
    [InlineData(16, 24, 16)]
    [InlineData(1, 4, 1)]
    public void A_small_matrix_has_a_smaller_table_and_the_plan_says_so(long rows, long columns, int codewords)
    {
        new Vq4Dit().CodewordsFor(rows, columns).ShouldBe(codewords);
        ((Vq4Dit)new Vq4Dit().Resolve(new(LayerKinds.Linear, rows, columns))).Codewords.ShouldBe(codewords);
    }

    [Fact]
    public void Only_training_and_inputs_of_the_model_need_data()
    {
        new Vq4Dit().NeedsCalibration.ShouldBeTrue();
        new Vq4Dit { Iterations = 0 }.NeedsCalibration.ShouldBeFalse();
        new Vq4Dit { Tune = CodebookTuning.None }.NeedsCalibration.ShouldBeFalse();
        new Vq4Dit { Tune = CodebookTuning.Layer }.Needs.ShouldBe(StatisticKinds.InputMoments);
        new Vq4Dit { Tune = CodebookTuning.Layer, Inputs = CodebookInputs.Noise }.NeedsCalibration.ShouldBeFalse();
        new Vq4Dit { TuneBias = true }.ReplacesBias(Layer).ShouldBeTrue();
        new Vq4Dit { TuneBias = true, Iterations = 0 }.ReplacesBias(Layer).ShouldBeFalse();
    }
}
