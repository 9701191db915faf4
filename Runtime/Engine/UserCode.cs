using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Calls into the user's model so that its failures come out as one clear error at the recipe.</summary>
internal static class UserCode
{
    /// <summary>Calls user code.</summary>
    /// <exception cref="PipelineException">PDSL3011: it threw.</exception>
    public static T Call<T>(Recipe recipe, string what, Func<T> call)
    {
        try
        {
            return call();
        }
        catch (Exception failure) when (failure is not (PipelineException or OperationCanceledException or RunFailedException))
        {
            string place = failure.StackTrace?.Split('\n').FirstOrDefault(line => line.Contains(" in ", StringComparison.Ordinal))?.Trim() ?? "";
            throw new PipelineException(DiagnosticIds.ModelFailed, $"model '{recipe.Model}': {what}: {FirstLine(failure)} {place}".TrimEnd(), recipe.Span, failure);
        }
    }

    private static string FirstLine(Exception failure) => failure.Message.Split('\n')[0].Trim();
}
