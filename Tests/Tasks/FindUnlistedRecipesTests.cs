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

    [Theory]
    [InlineData("draft.recipe.yaml", 0)]
    [InlineData("draft.recipe.yml", 0)]
    [InlineData("draft-recipe.yaml", 1)]
    public void Where_names_tell_what_is_built_a_recipe_that_is_not_was_left_out_on_purpose(string name, int warnings) =>
        Find(name, "recipe: draft\nsteps:\n", takesEveryName: true).Count.ShouldBe(warnings);

    private List<Microsoft.Build.Framework.BuildWarningEventArgs> Find(string name, string text, bool takesEveryName = false)
    {
        string path = Path.Combine(folder, name);
        File.WriteAllText(path, text);
        var log = new BuildLog();
        new FindUnlistedRecipes { BuildEngine = log, Files = [new TaskItem(path)], TakesEveryName = takesEveryName }.Execute().ShouldBeTrue();
        return log.Warnings;
    }
}
