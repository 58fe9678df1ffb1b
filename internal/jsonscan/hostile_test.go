package jsonscan_test

import "strings"

// hostile are inputs that are built to hurt: those of limits.md, and more.
var hostile = []struct {
	name string
	make func(size int) []byte
}{
	{"ones", func(n int) []byte { return arrayOf(n, "1") }},
	{"arrays", func(n int) []byte { return arrayOf(n, "[]") }},
	{"quotes", func(n int) []byte { return []byte(`"` + strings.Repeat(`\"`, n/2) + `"`) }},
}
