// Package public holds what is said of every public package of this module.
package public

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// hidden returns the names of internal packages that the exported declarations of a file show to a reader of its documentation, each
// with the declaration it stands in.
func hidden(file *ast.File) (found []string) {
	internal := map[string]string{}
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if !strings.Contains(path, "/internal/") {
			continue
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		internal[name] = path
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
	ast.FileExports(file)
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				continue
			}
		case *ast.FuncDecl:
			if d.Recv != nil && !ofExported(d.Recv.List[0].Type) {
				continue
			}
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				n.Body = &ast.BlockStmt{}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && internal[x.Name] != "" {
					found = append(found, x.Name+"."+n.Sel.Name)
				}
			}
			return true
		})
	}
	return found
}

// ofExported reports whether a receiver is of an exported type.
func ofExported(receiver ast.Expr) bool {
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver = t.X
		case *ast.IndexExpr:
			receiver = t.X
		case *ast.IndexListExpr:
			receiver = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return true
		}
	}
}

// What go doc shows of a public package names no type that its reader cannot import.
func TestNoInternalTypeIsPublic(t *testing.T) {
	root, files := filepath.Join("..", ".."), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() {
			if path != root && (name == "internal" || name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		if file.Name.Name == "main" {
			return nil
		}
		files++
		for _, name := range hidden(file) {
			t.Errorf("%s: its documentation names %s, which is of an internal package", path, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("%d files were looked at", files)
	}
}

// The test above finds an internal type wherever a declaration shows one, and nowhere else.
func TestHidden(t *testing.T) {
	for source, want := range map[string]int{
		`func F(x secret.T) {}`:                        1,
		`func f(x secret.T) {}`:                        0,
		`func F() { secret.Call() }`:                   0,
		`type T = secret.T`:                            1,
		`type T struct { A []*secret.T; b secret.T }`:  1,
		`type T interface { A() map[string]secret.T }`: 1,
		`type T[E secret.E] struct{}`:                  1,
		`type t struct{}; func (t) F(secret.T) {}`:     0,
		`type T struct{}; func (T) F(secret.T) {}`:     1,
		`var V secret.T`:                               1,
		`const C = secret.C`:                           1,
		`var v = secret.V`:                             0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a; import \"example.org/internal/secret\"; "+source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if found := hidden(file); len(found) != want {
			t.Errorf("%s: %v, want %d", source, found, want)
		}
	}
}
