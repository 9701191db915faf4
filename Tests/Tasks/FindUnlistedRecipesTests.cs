using Microsoft.Build.Utilities;

namespace PipelineDsl.Tasks.Tests;

public sealed class FindUnlistedRecipesTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("pdsl-unlisted-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("tiny-recipe.yaml", "# comment\nrecipe: tiny\nmodel: M\nsteps:\n", "name it 'tiny.recipe.yaml', list it")]
    [InlineData("tiny.yml", "# comment\r\nrecipe:\r\nextends: base\r\n", "name it 'tiny.recipe.yaml', list it")]
    [InlineData("tiny.recipe.yaml", "\nrecipe: small\nsteps:\n", "nothing of it; list it")]
    public void A_file_that_holds_a_recipe_is_told_at_its_line(string name, string text, string cure)
    {
        var warning = Find(name, text).ShouldHaveSingleItem();
        warning.Code.ShouldBe("PDSL2007");
        (warning.File, warning.LineNumber).ShouldBe((Path.Combine(folder, name), 2));
        warning.Message.ShouldNotBeNull().ShouldContain(cure);
    }

    [Theory]
    [InlineData("steps:\n  recipe: 3\n")]
    [InlineData("recipe: pancakes\ningredients: []\n")]
    [InlineData("")]
    public void Other_yaml_is_none_of_its_business(string text) => Find("other.yaml", text).ShouldBeEmpty();

    private List<Microsoft.Build.Framework.BuildWarningEventArgs> Find(string name, string text)
    {
        string path = Path.Combine(folder, name);
        File.WriteAllText(path, text);
        var log = new BuildLog();
        new FindUnlistedRecipes { BuildEngine = log, Files = [new TaskItem(path)] }.Execute().ShouldBeTrue();
        return log.Warnings;
    }
}
