package main

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"log"
)

// layout has the constants and structs of internal/kernel/layout.go, which the vector code and the Go code that calls it share.
var layout = readLayout("../internal/kernel/layout.go")

type sharedLayout struct{ scope *types.Scope }

func readLayout(path string) sharedLayout {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		log.Fatal(err)
	}
	pkg, err := new(types.Config).Check("kernel", files, []*ast.File{file}, nil)
	if err != nil {
		log.Fatal(err)
	}
	return sharedLayout{pkg.Scope()}
}

// value returns an integer constant.
func (l sharedLayout) value(name string) int {
	c, ok := l.scope.Lookup(name).(*types.Const)
	if !ok {
		log.Fatalf("layout.go has no constant %s", name)
	}
	n, ok := constant.Int64Val(constant.ToInt(c.Val()))
	if !ok {
		log.Fatalf("layout.go: %s is no integer", name)
	}
	return int(n)
}

// size returns the size of a struct in bytes.
func (l sharedLayout) size(name string) int { return int(sizes.Sizeof(l.structure(name))) }

// offset returns how many bytes a field is behind the beginning of its struct.
func (l sharedLayout) offset(name, field string) int {
	s := l.structure(name)
	var fields []*types.Var
	for i := range s.NumFields() {
		fields = append(fields, s.Field(i))
	}
	for i, at := range sizes.Offsetsof(fields) {
		if fields[i].Name() == field {
			return int(at)
		}
	}
	log.Fatalf("layout.go: %s has no field %s", name, field)
	return 0
}

var sizes = types.SizesFor("gc", "amd64")

func (l sharedLayout) structure(name string) *types.Struct {
	o := l.scope.Lookup(name)
	if o == nil {
		log.Fatalf("layout.go has no struct %s", name)
	}
	return o.Type().Underlying().(*types.Struct)
}
