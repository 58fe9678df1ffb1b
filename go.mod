module github.com/go-affinity/affinity

go 1.26

require (
	github.com/cespare/xxhash/v2 v2.3.0
	github.com/stretchr/testify v1.12.1
	github.com/tidwall/gjson v1.20.1
	golang.org/x/exp v0.0.0-20260813180055-c1d0aacb2297
)

require (
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
