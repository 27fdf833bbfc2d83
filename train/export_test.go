package train

// FoldsOf is foldsOf.
var FoldsOf = foldsOf
