// Command logitscope is a scope for the last layer of a classifier.
package main

import (
	"os"

	"github.com/logitscope/logitscope/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
