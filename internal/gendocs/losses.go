package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/logitscope/logitscope/loss"
)

func losses(b *bytes.Buffer) {
	var rows [][]string
	for _, l := range loss.Catalog() {
		made, err := loss.ByName[float64](l.Name, nil)
		if err != nil {
			panic(err)
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(fmt.Sprintf("%T", made), "loss."), "[")
		mean := l.Mean
		if mean == "" {
			mean = "mean"
		}
		rows = append(rows, []string{"`" + l.Name + "`", "`" + kind + "`", l.Formula, mean, loss.Join(l.Heads, ", "), l.Targets.String()})
	}
	table(b, []string{"loss", "type", "of a sample", "the batch's", "heads", "targets"}, rows)
}

func settings(b *bytes.Buffer) {
	var rows [][]string
	for _, s := range loss.AllSettings() {
		var owners []string
		for _, l := range loss.Catalog() {
			if slices.Contains(l.Settings, s) {
				owners = append(owners, "`"+l.Name+":"+s.Name+"=`")
			}
		}
		key := ""
		if s.Key != "" {
			key = fmt.Sprintf("`--%s`, `%s:`", strings.ReplaceAll(s.Key, "_", "-"), s.Key)
		}
		takes := s.Range.String()
		if s.Per != loss.PerLoss {
			takes = fmt.Sprintf("`balanced`, or %s for each %s", takes, s.Per)
		}
		usual := ""
		if s.Usual != 0 {
			usual = fmt.Sprint(s.Usual)
		}
		rows = append(rows, []string{strings.Join(owners, ", "), key, s.Text, takes, fmt.Sprint(s.Default), usual})
	}
	table(b, []string{"behind `--loss`", "flag and key of its own", "what it is", "takes", "default", "usual"}, rows)
}
