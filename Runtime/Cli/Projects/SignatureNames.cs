using System.Collections.Immutable;
using System.Reflection.Metadata;

namespace PipelineDsl.Cli.Projects;

/// <summary>Reads the full names of all classes in a signature, type arguments included.</summary>
internal sealed class SignatureNames : ISignatureTypeProvider<ImmutableArray<string>, object?>
{
    /// <summary>The only one.</summary>
    public static SignatureNames Instance { get; } = new();

    /// <summary>The full name of a type, with dots before the names of types inside others.</summary>
    public static string NameOf(MetadataReader reader, TypeReferenceHandle handle)
    {
        var type = reader.GetTypeReference(handle);
        string name = reader.GetString(type.Name);
        return type.ResolutionScope.Kind == HandleKind.TypeReference
            ? $"{NameOf(reader, (TypeReferenceHandle)type.ResolutionScope)}.{name}"
            : Joined(reader.GetString(type.Namespace), name);
    }

    /// <inheritdoc cref="NameOf(MetadataReader, TypeReferenceHandle)"/>
    public static string NameOf(MetadataReader reader, TypeDefinitionHandle handle)
    {
        var type = reader.GetTypeDefinition(handle);
        string name = reader.GetString(type.Name);
        return type.GetDeclaringType() is { IsNil: false } outer ? $"{NameOf(reader, outer)}.{name}" : Joined(reader.GetString(type.Namespace), name);
    }

    /// <inheritdoc/>
    public ImmutableArray<string> GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) => [NameOf(reader, handle)];

    /// <inheritdoc/>
    public ImmutableArray<string> GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => [NameOf(reader, handle)];

    /// <inheritdoc/>
    public ImmutableArray<string> GetTypeFromSpecification(MetadataReader reader, object? genericContext, TypeSpecificationHandle handle, byte rawTypeKind) =>
        reader.GetTypeSpecification(handle).DecodeSignature(this, genericContext);

    /// <inheritdoc/>
    public ImmutableArray<string> GetGenericInstantiation(ImmutableArray<string> genericType, ImmutableArray<ImmutableArray<string>> typeArguments) =>
        [.. genericType, .. typeArguments.SelectMany(argument => argument)];

    /// <inheritdoc/>
    public ImmutableArray<string> GetArrayType(ImmutableArray<string> elementType, ArrayShape shape) => elementType;

    /// <inheritdoc/>
    public ImmutableArray<string> GetSZArrayType(ImmutableArray<string> elementType) => elementType;

    /// <inheritdoc/>
    public ImmutableArray<string> GetByReferenceType(ImmutableArray<string> elementType) => elementType;

    /// <inheritdoc/>
    public ImmutableArray<string> GetPointerType(ImmutableArray<string> elementType) => elementType;

    /// <inheritdoc/>
    public ImmutableArray<string> GetPinnedType(ImmutableArray<string> elementType) => elementType;

    /// <inheritdoc/>
    public ImmutableArray<string> GetModifiedType(ImmutableArray<string> modifier, ImmutableArray<string> unmodifiedType, bool isRequired) => unmodifiedType;

    /// <inheritdoc/>
    public ImmutableArray<string> GetFunctionPointerType(MethodSignature<ImmutableArray<string>> signature) => [];

    /// <inheritdoc/>
    public ImmutableArray<string> GetGenericMethodParameter(object? genericContext, int index) => [];

    /// <inheritdoc/>
    public ImmutableArray<string> GetGenericTypeParameter(object? genericContext, int index) => [];

    /// <inheritdoc/>
    public ImmutableArray<string> GetPrimitiveType(PrimitiveTypeCode typeCode) => [];

    private static string Joined(string space, string name) => space.Length == 0 ? name : $"{space}.{name}";
}
