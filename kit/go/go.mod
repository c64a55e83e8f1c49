module deputy/kit

go 1.26
