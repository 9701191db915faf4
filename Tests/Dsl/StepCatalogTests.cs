namespace PipelineDsl.Dsl.Tests;

public sealed class StepCatalogTests
{
    public static TheoryData<string> Names => [.. StepCatalog.Steps.Select(step => step.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_setting_survives_the_way_through_text(string name)
    {
        var descriptor = StepCatalog.Find(name).ShouldNotBeNull();
        foreach (var setting in descriptor.Settings)
        {
            object value = Allowed(setting);
            setting.TryParse(SettingDescriptor.Format(value).Trim('"'), out object read, out string problem).ShouldBeTrue(problem);
            read.ShouldBe(value);
            read.GetType().ShouldBe(setting.Type);
            var step = descriptor.Create();
            setting.Set(step, read);
            setting.Get(step).ShouldBe(value);
        }
    }

    [Fact]
    public void Steps_are_equal_when_their_settings_are()
    {
        new Corda { Rank = 3 }.ShouldBe(new Corda { Rank = 3 });
        new Corda { Rank = 3 }.ShouldNotBe(new Corda { Rank = 4 });
        new Decompose { Rank = 3, Orientation = Orientation.Context }.ShouldNotBe<Step>(new Corda { Rank = 3 });
    }

    [Fact]
    public void A_step_describes_itself_as_yaml() => new Decompose { Rank = 24, Orientation = Orientation.Context }.ToString().ShouldBe("decompose { accuracy: tight, convForm: channelWise, keepRatio: 0, orientation: context, rank: 24 }");

    private static object Allowed(SettingDescriptor setting) =>
        setting.Type.IsEnum ? Enum.GetValues(setting.Type).Cast<object>().Last()
        : setting.Type == typeof(bool) ? !(bool)setting.Default
        : setting.Type == typeof(int) ? (int)Math.Max(1, setting.Range?.Minimum ?? 1)
        : setting.Type == typeof(double) ? Math.Max(0.125, setting.Range?.Minimum ?? 0)
        : setting.Default;
}
