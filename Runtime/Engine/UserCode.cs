using System.Diagnostics;
using System.Globalization;
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
            throw new PipelineException(DiagnosticIds.ModelFailed, $"model '{recipe.Model}': {what}: {FirstLine(failure)}{PlaceOf(failure)}", recipe.Span, failure);
        }
    }

    /// <summary>The innermost line of code that is not this library's own.</summary>
    private static string PlaceOf(Exception failure)
    {
        var frame = new StackTrace(failure, fNeedFileInfo: true).GetFrames()
            .FirstOrDefault(frame => frame.GetFileName() is not null && frame.GetMethod()?.Module != typeof(UserCode).Module);
        return frame is null ? "" : $" (at {frame.GetFileName()}:{frame.GetFileLineNumber().ToString(CultureInfo.InvariantCulture)})";
    }

    private static string FirstLine(Exception failure) => failure.Message.Split('\n')[0].Trim();
}
