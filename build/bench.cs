#:project ../Tasks/PipelineDsl.Tasks.csproj

// Builds the benchmarks and runs one:  dotnet run build/bench.cs -- NAME [arguments]
//   svd [SIDE ...]   leading singular vectors against a complete SVD
//   quant            rounding to nearest and GPTQ of one 4096 × 4096 layer
//   inference        products with packed 4-bit layers against dense ones, and whole models
//   tables           exact tables of SqueezeLLM against iterated ones
//   codebooks [SIDE CODEWORDS WIDTH]   the parts of VQ4DiT for one layer, with memory
//   corda            CorDA on gsmbard-4m: statistics, solving, memory   (PIPELINEDSL_DATA names the folder of data)
//   orientations     perplexity of the five orientations at half the parameters
//   leaderboard      methods and budgets at 80, 60, 40 and 20 % of the layers' bytes, as table and page
//   adapters         every adapter and full fine-tuning: loss at equal parameters and steps, time per step
//   optimizers       every optimizer: steps to a loss, bytes of state, time per step
//   training         a step of LoRA against a loop written by hand, memory over 1,000 steps, kills and resumes
//   fuzz [CASES]     a million broken safetensors headers and recipes
//   kills [KILLS]    a hundred runs of the sample that are killed, each made good by the next
//   layers           one changed layer of thirty against all of them
//   memory [GB LIMIT]   peak memory and time of the host on a model of 8 GB (a sparse file) under 2 GB
//   noop             a build of the sample that has nothing to do, with and without the pipeline
//   generator        what the generator adds to an edit in a project of a hundred recipes
// Tables go to the console, figures to artifacts/bench/NAME.json. Only ratios within one run mean anything on a busy machine.

using System.Diagnostics;
using PipelineDsl.Tasks;

string repository = Path.GetDirectoryName((string)AppContext.GetData("EntryPointFileDirectoryPath")!)!;
string project = Path.Combine(repository, "Tests", "Benchmarks");
if (Run([], ["build", project, "--configuration", "Release", "--verbosity", "quiet", "-nodeReuse:false"]) != 0)
{
    Console.Error.WriteLine("the benchmarks do not build");
    return 1;
}

var environment = new Dictionary<string, string>
{
    ["PIPELINEDSL_BENCH"] = Path.Combine(repository, "artifacts", "bench"),
    // As the build starts its host: threads that wait must not take the cores from those that work.
    ["OMP_WAIT_POLICY"] = "passive",
};
if (LibStdCppShim.LibraryPath() is { } path)
{
    environment[LibStdCppShim.Variable] = path;
}

return Run(environment, ["exec", Path.Combine(project, "bin", "Release", "net10.0", "PipelineDsl.Benchmarks.dll"), .. args]);

int Run(Dictionary<string, string> environment, string[] arguments)
{
    var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = repository };
    foreach (var (name, value) in environment)
    {
        start.Environment[name] = value;
    }

    using var process = Process.Start(start)!;
    process.WaitForExit();
    return process.ExitCode;
}
