using System.Linq.Expressions;
using System.Reflection;

using static TorchSharp.torch;

using Code = System.Linq.Expressions.Expression;

namespace PipelineDsl.Runtime.Reconstruction;

/// <summary>Sees and repeats the calls of a module, whatever its arguments and results are.</summary>
/// <remarks>TorchSharp has a class of modules, and a type of hooks, for each number of arguments; the hooks are compiled here for the module's own.</remarks>
internal sealed class ModuleCalls
{
    private readonly nn.Module module;
    private readonly Type type;

    private ModuleCalls(nn.Module module, Type type)
    {
        this.module = module;
        this.type = type;
    }

    /// <summary>The calls of a module, or null for one that cannot be called, as a list of modules.</summary>
    public static ModuleCalls? Of(nn.Module module)
    {
        for (var type = module.GetType(); type is not null; type = type.BaseType)
        {
            if (type.BaseType is { IsGenericType: true } parent && parent.GetGenericTypeDefinition() == typeof(nn.HookableModule<,>))
            {
                return new(module, type);
            }
        }

        return null;
    }

    /// <summary>Lets an observer see the arguments of each call before the module does.</summary>
    public IDisposable WatchArguments(Action<object?[]> seen) => Watch("register_forward_pre_hook", seen, (values, invoke) =>
        invoke.ReturnType == values[^1].Type && values.Length == 2 ? values[^1] : Code.Default(invoke.ReturnType), values => values[1..]);

    /// <summary>Lets an observer see the result of each call.</summary>
    public IDisposable WatchResult(Action<object?[]> seen) => Watch("register_forward_hook", seen, (values, _) => values[^1], values => values[^1..]);

    /// <summary>Puts something of the same type in place of the result of each call.</summary>
    public IDisposable ReplaceResult(Func<object?, object?> replace) => Hook("register_forward_hook", (values, invoke) =>
        Code.Convert(Code.Invoke(Code.Constant(replace), Code.Convert(values[^1], typeof(object))), invoke.ReturnType));

    /// <summary>Calls the module.</summary>
    public object? Call(object?[] arguments) =>
        type.GetMethod("call", BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)!.Invoke(module, BindingFlags.DoNotWrapExceptions, null, arguments, null);

    private Remover Watch(string register, Action<object?[]> seen, Func<ParameterExpression[], MethodInfo, Code> result, Func<ParameterExpression[], ParameterExpression[]> shown) => Hook(register, (values, invoke) =>
    {
        var list = Code.NewArrayInit(typeof(object), shown(values).Select(value => Code.Convert(value, typeof(object))));
        return Code.Block(invoke.ReturnType, Code.Invoke(Code.Constant(seen), list), result(values, invoke));
    });

    private Remover Hook(string register, Func<ParameterExpression[], MethodInfo, Code> body)
    {
        // Of the two overloads the other one takes an Action that sees the module alone.
        var method = type.GetMethods().Single(method => method.Name == register && !method.GetParameters()[0].ParameterType.Name.StartsWith("Action", StringComparison.Ordinal));
        var hook = method.GetParameters()[0].ParameterType;
        var invoke = hook.GetMethod("Invoke")!;
        var values = invoke.GetParameters().Select(parameter => Code.Parameter(parameter.ParameterType)).ToArray();
        object remover = method.Invoke(module, [Code.Lambda(hook, body(values, invoke), values).Compile()])!;
        return new(remover.GetType().GetMethod("remove")!.CreateDelegate<Action>(remover));
    }

    private sealed class Remover(Action remove) : IDisposable
    {
        public void Dispose() => remove();
    }
}
