//go:build (amd64 || arm64) && !go1.28

package main

import (
	"fmt"

	"github.com/bytedance/sonic"

	"github.com/go-affinity/affinity/bench/speed/internal/lap"
)

// withSonic finds the id with sonic, if that works on this machine.
func withSonic(body []byte) lap.Contender {
	return lap.Contender{Name: rowSonic, Size: len(body), Missing: sonicFails(body), Do: func(n int) {
		for range n {
			node, err := sonic.Get(body, "conversation_id")
			must(err)
			id, err := node.String()
			check(err == nil, id)
		}
	}}
}

// sonicFails says why sonic cannot be measured on the body, or "".
func sonicFails(body []byte) (why string) {
	defer func() {
		if p := recover(); p != nil {
			why = fmt.Sprint("sonic panics: ", p)
		}
	}()
	node, err := sonic.Get(body, "conversation_id")
	if err != nil {
		return "sonic: " + err.Error()
	}
	if _, err := node.String(); err != nil {
		return "sonic: " + err.Error()
	}
	return ""
}
