module example.org/outside

go 1.26.8

require github.com/logitscope/logitscope v0.0.0

require (
	github.com/google/flatbuffers v25.12.19+incompatible // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/logitscope/logitscope => ../
