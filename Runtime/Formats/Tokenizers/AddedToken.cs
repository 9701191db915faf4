namespace PipelineDsl.Runtime.Formats.Tokenizers;

/// <summary>A token that is found in the text as it stands, before any splitting.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="IsSpecial">Whether decoding leaves it out.</param>
/// <param name="IsNormalized">Whether it is searched in the normalised text.</param>
/// <param name="SingleWord">Whether it must not touch a letter or digit.</param>
/// <param name="StripsLeft">Whether it takes white space on its left.</param>
/// <param name="StripsRight">Whether it takes white space on its right.</param>
internal sealed record AddedToken(int Id, string Content, bool IsSpecial, bool IsNormalized, bool SingleWord, bool StripsLeft, bool StripsRight);
