"""The page of a tour: what each stage of the chain did, read from what the stages wrote."""
