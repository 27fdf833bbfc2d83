package main

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/logitscope/logitscope/experiment"
)

// configuration writes the tables of all settings of training.
func configuration(b *bytes.Buffer) {
	defaults := experiment.Default()
	var rows [][]string
	for _, s := range experiment.Settings() {
		flag, value := "", ""
		if s.Flag != "" {
			flag = "`--" + s.Flag + "`"
		}
		if v := reflect.ValueOf(s.Field(&defaults)).Elem(); !v.IsZero() {
			value = fmt.Sprintf("`%v`", v)
		}
		rows = append(rows, []string{"`" + s.Key + "`", flag, value, s.Allowed, s.Text})
	}
	table(b, []string{"key", "flag", "default", "allowed", "what it is"}, rows)
}
