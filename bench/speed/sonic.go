//go:build (amd64 || arm64) && !go1.28

package main

import (
	"fmt"

	"github.com/bytedance/sonic"
)

// withSonic finds the id with sonic.
func withSonic(body []byte) (id string, ok bool) {
	node, err := sonic.Get(body, idMember)
	if err == nil {
		id, err = node.String()
	}
	return id, err == nil
}

// sonicFails says why sonic cannot be measured on the body, or "".
func sonicFails(body []byte) (why string) {
	defer func() {
		if p := recover(); p != nil {
			why = fmt.Sprint("sonic panics: ", p)
		}
	}()
	if _, ok := withSonic(body); !ok {
		return "sonic does not find it"
	}
	return ""
}
