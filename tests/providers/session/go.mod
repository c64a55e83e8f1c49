module session

go 1.26

require deputy/kit v0.0.0

replace deputy/kit => ../../../kit/go
